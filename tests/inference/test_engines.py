"""One contract for every engine, the fake one included; how far they may differ; and what they refuse."""

import io
from collections.abc import Callable

import pytest
import torch
from PIL import Image
from torch import Tensor

from errors import UsageError
from inference.engine import Engine
from inference.fake_engine import FakeEngine
from inference.folding import fold_batch_norms
from inference.model import load_model
from inference.openvino_engine import OpenVinoEngine
from inference.preprocess import Preprocessing
from inference.torch_engine import TorchEngine
from settings import InferenceSettings, Settings
from tests.checkpoints import sample_images

BATCH = torch.stack(
    [
        Preprocessing(resize=64, crop=64).pixels(Image.open(io.BytesIO(image)).convert("RGB"))
        for image in list(sample_images().values())[:7]
    ]
)


Open = Callable[..., Engine]


@pytest.fixture(scope="module")
def open_torch(small_model: Settings) -> Open:
    def build(**options: object) -> TorchEngine:
        settings = small_model.model_copy(update=options)
        return TorchEngine(load_model(settings), settings)

    return build


@pytest.fixture(scope="module")
def open_openvino(small_model: Settings) -> Open:
    def build(**options: object) -> OpenVinoEngine:
        settings = small_model.model_copy(update=options)
        return OpenVinoEngine(load_model(settings), settings)

    return build


@pytest.fixture(scope="module", params=["torch", "openvino", "fake"])
def engine(request: pytest.FixtureRequest, open_torch: Open, open_openvino: Open) -> Engine:
    if request.param == "fake":
        return FakeEngine()
    return open_torch() if request.param == "torch" else open_openvino()


def test_probabilities_are_fp32_on_the_cpu_and_sum_to_one(engine: Engine) -> None:
    rows = engine.predict(BATCH[:2])
    assert (rows.dtype, rows.device.type, rows.shape) == (torch.float32, "cpu", (2, 1000))
    assert torch.allclose(rows.sum(dim=1), torch.ones(2))
    assert not rows.requires_grad


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_row_does_not_depend_on_its_batch(engine: Engine, size: int) -> None:
    alone = torch.cat([engine.predict(image.unsqueeze(0)) for image in BATCH[:size]])
    assert torch.allclose(engine.predict(BATCH[:size]), alone, atol=1e-5)


def test_a_pass_is_paused_as_often_as_the_engine_says_and_another_one_fits_in(engine: Engine) -> None:
    between: list[Tensor] = []
    rows = engine.predict(BATCH[:3], lambda: between.append(engine.predict(BATCH[3:4])))
    assert torch.allclose(rows, engine.predict(BATCH[:3]), atol=1e-6)
    assert len(between) == engine.pauses == (16 if engine.name == "torch" else 0)
    for found in between:
        assert torch.allclose(found, engine.predict(BATCH[3:4]), atol=1e-6)


def test_what_a_pause_raises_ends_the_pass_and_the_next_one_is_whole(open_torch: Open) -> None:
    engine = open_torch()

    def pause() -> None:
        raise LookupError("in the midst")

    with pytest.raises(LookupError, match="in the midst"):
        engine.predict(BATCH[:2], pause)
    assert engine.predict(BATCH[:2]).shape == (2, 1000)


def test_rows_come_in_the_order_of_the_images(engine: Engine) -> None:
    rows = engine.predict(BATCH)
    assert torch.allclose(engine.predict(BATCH.flip(0)), rows.flip(0), atol=1e-5)
    assert not torch.allclose(rows, rows.flip(0), atol=1e-4)


def test_a_batch_may_lie_in_memory_as_it_likes(engine: Engine) -> None:
    rows = engine.predict(BATCH[:2])
    assert torch.allclose(engine.predict(BATCH[:2].to(memory_format=torch.channels_last)), rows, atol=1e-5)


def test_an_answer_is_not_overwritten_by_the_next_one(engine: Engine) -> None:
    rows = engine.predict(BATCH[:2])
    before = rows.clone()
    engine.predict(BATCH[2:4])
    assert torch.equal(rows, before)


def test_normalised_floats_are_taken_too(engine: Engine) -> None:
    rows = engine.predict(Preprocessing().normalised(BATCH[:2]))
    assert rows.shape == (2, 1000)
    if engine.name != "fake":
        assert torch.allclose(rows, engine.predict(BATCH[:2]), atol=1e-5)


def test_openvino_gives_what_torch_gives_in_fp32(open_torch: Open, open_openvino: Open) -> None:
    assert torch.allclose(open_openvino().predict(BATCH), open_torch().predict(BATCH), atol=1e-4)


def test_folded_batch_norms_move_answers_by_rounding_errors_only(open_torch: Open, small_model: Settings) -> None:
    network = load_model(small_model).network
    with torch.inference_mode():
        plain = network(Preprocessing().normalised(BATCH)).softmax(dim=1)
    assert torch.allclose(open_torch().predict(BATCH), plain, atol=1e-5)


def test_no_batch_norm_is_left(small_model: Settings) -> None:
    model = load_model(small_model)
    convolutions = [part for part in model.network.modules() if isinstance(part, torch.nn.Conv2d)]
    fold_batch_norms(model.network)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in model.network.modules())
    assert len([part for part in model.network.modules() if isinstance(part, torch.nn.Conv2d)]) == len(convolutions)


def test_it_says_what_it_is(engine: Engine) -> None:
    assert engine.name in {"torch", "openvino", "fake"}
    assert (engine.precision, engine.device) == ("fp32", "cpu")


def test_a_device_that_is_not_there_is_named(open_torch: Open) -> None:
    with pytest.raises(UsageError, match=r"SCORER_DEVICE=cuda:77: this machine has .*; use auto or cpu"):
        open_torch(device="cuda:77")


@pytest.mark.parametrize("kind", ["torch", "openvino"])
def test_bf16_is_close_to_fp32_or_refused(kind: str, open_torch: Open, open_openvino: Open) -> None:
    opened: Callable[..., Engine] = open_torch if kind == "torch" else open_openvino
    exact = opened().predict(BATCH[:2])
    try:
        engine = opened(precision="bf16")
    except UsageError as refusal:
        assert "SCORER_PRECISION=bf16" in str(refusal)  # noqa: PT017  (which of the two depends on the processor)
        return
    rows = engine.predict(BATCH[:2])
    assert engine.precision == "bf16"
    assert rows.dtype == torch.float32
    assert torch.allclose(rows, exact, atol=0.1)
    assert not torch.equal(rows, exact)


def test_int8_is_not_for_torch(open_torch: Open) -> None:
    with pytest.raises(UsageError, match=r"SCORER_PRECISION=int8: torch does not have it .* SCORER_ENGINE=openvino"):
        open_torch(precision="int8")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"device": "cuda"}, "runs on the CPU, not on SCORER_DEVICE=cuda"),
        ({"precision": "fp16"}, "SCORER_PRECISION=fp16: OpenVINO has fp32, .*on this CPU"),
        ({"precision": "int8"}, "SCORER_PRECISION=int8: no calibration .* run `streamscorer calibrate`"),
    ],
)
def test_what_openvino_cannot_do_is_named(open_openvino: Open, options: dict[str, str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        open_openvino(**options)


def test_torch_on_a_cpu_has_no_use_for_the_largest_batches(open_torch: Open) -> None:
    assert open_torch().most < InferenceSettings().max_batch
