"""One contract for every engine, the fake one included; and what TorchEngine refuses."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from errors import UsageError
from inference.engine import Engine
from inference.fake_engine import FakeEngine
from inference.model import load_model
from inference.preprocess import Preprocessing
from inference.torch_engine import TorchEngine
from settings import InferenceSettings
from tests.checkpoints import sample_images

BATCH = torch.stack(
    [
        Preprocessing().pixels(Image.open(io.BytesIO(image)).convert("RGB"))
        for image in list(sample_images().values())[:7]
    ]
)


@pytest.fixture(scope="module", params=["torch", "fake"])
def engine(request: pytest.FixtureRequest, checkpoint: Path) -> Engine:
    if request.param == "fake":
        return FakeEngine()
    settings = InferenceSettings(weights=str(checkpoint), threads=1, device="cpu")
    return TorchEngine(load_model(settings), settings)


def test_probabilities_are_fp32_on_the_cpu_and_sum_to_one(engine: Engine) -> None:
    rows = engine.predict(BATCH[:2])
    assert (rows.dtype, rows.device.type, rows.shape) == (torch.float32, "cpu", (2, 1000))
    assert torch.allclose(rows.sum(dim=1), torch.ones(2))
    assert not rows.requires_grad


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_row_does_not_depend_on_its_batch(engine: Engine, size: int) -> None:
    alone = torch.cat([engine.predict(image.unsqueeze(0)) for image in BATCH[:size]])
    assert torch.allclose(engine.predict(BATCH[:size]), alone, atol=1e-5)


def test_rows_come_in_the_order_of_the_images(engine: Engine) -> None:
    rows = engine.predict(BATCH)
    assert torch.allclose(engine.predict(BATCH.flip(0)), rows.flip(0), atol=1e-5)
    assert not torch.allclose(rows, rows.flip(0), atol=1e-4)


def test_float_batches_are_taken_too(engine: Engine) -> None:
    assert engine.predict(torch.rand(2, 3, 224, 224)).shape == (2, 1000)


def test_it_says_what_it_is(engine: Engine) -> None:
    assert engine.name in {"torch", "fake"}
    assert (engine.precision, engine.device) == ("fp32", "cpu")


@pytest.fixture
def open_engine(checkpoint: Path) -> Callable[..., TorchEngine]:
    def build(**options: object) -> TorchEngine:
        settings = InferenceSettings.model_validate({"weights": str(checkpoint), "threads": 1} | options)
        return TorchEngine(load_model(settings), settings)

    return build


def test_a_device_that_is_not_there_is_named(open_engine: Callable[..., TorchEngine]) -> None:
    with pytest.raises(UsageError, match=r"SCORER_DEVICE=cuda:77: this machine has .*; use auto or cpu"):
        open_engine(device="cuda:77")


def test_bf16_is_close_to_fp32_or_refused(open_engine: Callable[..., TorchEngine]) -> None:
    exact = open_engine(device="cpu").predict(BATCH[:2])
    try:
        engine = open_engine(device="cpu", precision="bf16")
    except UsageError as refusal:
        assert "SCORER_PRECISION=bf16" in str(refusal)  # noqa: PT017  (which of the two depends on the processor)
        return
    rows = engine.predict(BATCH[:2])
    assert engine.precision == "bf16"
    assert rows.dtype == torch.float32
    assert torch.allclose(rows, exact, atol=0.1)
    assert not torch.equal(rows, exact)
