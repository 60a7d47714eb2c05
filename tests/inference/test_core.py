"""The core as a whole: the reference's answers, alone and in company; requests first from decode on; a clean end."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from errors import EngineRejected, ImageTooLarge, InvalidImage, Overloaded, UnsupportedImage, UsageError
from inference.core import InferenceCore, open_core, run_core
from inference.cores import usable_cores
from inference.decode_pool import PixelBudget
from inference.fake_engine import FakeEngine
from inference.preprocess import Preprocessing
from inference.works import Priority
from schemas.predictions import ModelInfo, Prediction
from settings import InferenceSettings
from telemetry import Metrics
from tests.checkpoints import sample_images
from tests.inference.pictures import encode, photo, png
from tests.reference import reference_probabilities
from tests.waiting import eventually

SAMPLES = list(sample_images().values())
INFO = ModelInfo(
    model_version="fake-0", name="fake", weights="none", weights_sha256="0" * 64, preprocessing=str(Preprocessing()),
    labels=tuple(f"label {number}" for number in range(50)), engine="fake", precision="fp32", device="cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def reference(checkpoint: Path) -> torch.Tensor:
    return reference_probabilities(checkpoint, SAMPLES)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def real_core(checkpoint: Path, metrics: Metrics, **options: object) -> AsyncIterator[InferenceCore]:
    settings = InferenceSettings.model_validate(
        {"weights": str(checkpoint), "engine": "torch", "device": "cpu", "threads": 1, "top_k": 1000} | options
    )
    async with open_core(settings, metrics) as core:
        yield core


@asynccontextmanager
async def fake_core(
    metrics: Metrics, before: Callable[[torch.Tensor], None] | None = None, **options: object
) -> AsyncIterator[InferenceCore]:
    settings = InferenceSettings.model_validate(options)
    async with run_core(INFO, Preprocessing(), FakeEngine(50, before), settings, metrics) as core:
        yield core


def off_by(prediction: Prediction, row: torch.Tensor) -> float:
    """Largest difference of a probability from the reference's."""
    return max(abs(entry.probability - float(row[entry.class_id])) for entry in prediction.top)


async def test_samples_have_the_reference_s_answers_alone(
    checkpoint: Path, reference: torch.Tensor, metrics: Metrics
) -> None:
    async with real_core(checkpoint, metrics) as core:
        predictions = [await core.score(image, "interactive") for image in SAMPLES]
    for prediction, row in zip(predictions, reference, strict=True):
        assert prediction.predicted_class == int(row.argmax())
        assert prediction.label == core.info.labels[prediction.predicted_class]
        assert len(prediction.top) == 1000
        assert off_by(prediction, row) < 1e-3
    assert len({prediction.predicted_class for prediction in predictions}) >= 5
    assert value(metrics, "scorer_inference_images_total", origin="http", engine="torch") == 12


@pytest.mark.parametrize("max_batch", [5, 12])
async def test_samples_have_the_reference_s_answers_in_batches(
    checkpoint: Path, reference: torch.Tensor, metrics: Metrics, max_batch: int
) -> None:
    async with real_core(checkpoint, metrics, max_batch=max_batch) as core:
        predictions = await asyncio.gather(*(core.score(image, "stream") for image in SAMPLES))
    for prediction, row in zip(predictions, reference, strict=True):
        assert prediction.predicted_class == int(row.argmax())
        assert off_by(prediction, row) < 1e-3
    assert value(metrics, "scorer_inference_images_total", origin="kafka", engine="torch") == 12


async def test_requests_and_a_batch_that_stands_still_for_them_have_the_reference_s_answers(
    checkpoint: Path, reference: torch.Tensor, metrics: Metrics
) -> None:
    """Both run through the same network at once, one between two layers of the other."""
    async with real_core(checkpoint, metrics, cache_entries=0) as core:
        stream = asyncio.create_task(core.score_all(SAMPLES))
        requests: list[Prediction] = []
        while not stream.done() and len(requests) < 8:
            requests.append(await core.score(SAMPLES[len(requests) % 12], "interactive"))
        scored = await stream
    assert len(requests) > 2
    for place, found in enumerate([*scored, *requests]):
        assert isinstance(found, Prediction)
        number = place % 12 if place < len(scored) else (place - len(scored)) % 12
        assert off_by(found, reference[number]) < 1e-3


async def test_what_a_prediction_says_about_model_image_and_time(checkpoint: Path, metrics: Metrics) -> None:
    async with real_core(checkpoint, metrics, top_k=5) as core:
        assert core.trouble() is None
        prediction = await core.score(SAMPLES[0], "interactive", top_k=2)
        assert len((await core.score(SAMPLES[0], "interactive")).top) == 5
        assert len((await core.score(SAMPLES[0], "interactive", top_k=5000)).top) == 1000
    assert (prediction.model_version, prediction.engine, prediction.precision) == (
        core.info.model_version,
        "torch",
        "fp32",
    )
    assert [entry.probability for entry in prediction.top] == sorted(
        (entry.probability for entry in prediction.top), reverse=True
    )
    assert (prediction.image.format, prediction.image.width, prediction.image.height) == ("jpeg", 512, 512)
    times = prediction.timings_ms
    assert min(times.decode, times.infer) > 0
    assert times.total >= times.decode + times.queue + times.infer - 0.01
    labels = {"model_version": core.info.model_version, "engine": "torch", "precision": "fp32", "device": "cpu"}
    assert value(metrics, "scorer_model_info", **labels, weights=checkpoint.name) == 1


async def test_a_wrong_checkpoint_is_a_usage_error(tmp_path: Path, metrics: Metrics) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        async with real_core(tmp_path / "none.pt", metrics):
            pass


async def test_answers_are_never_mixed_up_between_callers(metrics: Metrics) -> None:
    images = [encode(photo(40 + number, 40).rotate(9 * number), "PNG") for number in range(40)]
    async with fake_core(metrics, max_batch=7, max_image_pixels=10_000, cache_entries=0) as core:
        alone = [await core.score(image, "interactive") for image in images]
        for priority in ("interactive", "stream", "interactive"):
            together = await asyncio.gather(*(core.score(image, priority) for image in images))
            for one, other in zip(alone, together, strict=True):
                assert one.image == other.image
                assert one.predicted_class == other.predicted_class
                assert one.probability == pytest.approx(other.probability, abs=1e-5)


async def test_a_broken_image_fails_alone(metrics: Metrics) -> None:
    images = [SAMPLES[0], b"no image at all", SAMPLES[1][:5000], SAMPLES[2], b"", png(9000, 9000, 2)]
    async with fake_core(metrics) as core:
        outcomes = await asyncio.gather(*(core.score(image, "stream") for image in images), return_exceptions=True)
    kinds = [Prediction, UnsupportedImage, InvalidImage, Prediction, InvalidImage, ImageTooLarge]
    assert [type(outcome) for outcome in outcomes] == kinds
    assert value(metrics, "scorer_refused_total", reason="InvalidImage") == 3
    assert value(metrics, "scorer_refused_total", reason="ImageTooLarge") == 1


async def test_an_image_that_the_engine_cannot_score_is_rejected(metrics: Metrics) -> None:
    white = encode(Image.new("RGB", (30, 30), "white"), "PNG")

    def before(batch: torch.Tensor) -> None:
        if (batch == 255).flatten(1).all(dim=1).any():
            raise ValueError("white")

    async with fake_core(metrics, before) as core:
        outcomes = await asyncio.gather(
            *(core.score(image, "stream") for image in (SAMPLES[0], white, SAMPLES[1])), return_exceptions=True
        )
    assert [type(outcome) for outcome in outcomes] == [Prediction, EngineRejected, Prediction]


async def test_a_backlog_of_stream_decodes_does_not_stand_before_a_request(metrics: Metrics) -> None:
    slow, many = encode(photo(800, 600), "PNG"), 20 * usable_cores()
    finished: list[Priority] = []

    async with fake_core(metrics, cache_entries=0) as core:

        async def score(image: bytes, priority: Priority) -> None:
            await core.score(image, priority)
            finished.append(priority)

        async with asyncio.TaskGroup() as group:
            stream = [group.create_task(score(slow, "stream")) for _ in range(many)]
            await asyncio.wait(stream, return_when=asyncio.FIRST_COMPLETED)
            before = len(finished)
            await score(encode(photo(), "JPEG"), "interactive")
            overtaken_by = len(finished) - before - 1
    # Those in the threads, the spare one, and what was decoded already and waited for the engine.
    assert overtaken_by <= 2 * usable_cores() + 1
    assert finished.count("stream") == many


def nobody_waits(core: InferenceCore, priority: Priority) -> bool:
    return core._line.depth(priority) == 0


async def test_an_image_whose_caller_left_is_not_decoded(metrics: Metrics) -> None:
    image = encode(photo(900, 700), "PNG")
    async with fake_core(metrics, cache_entries=0) as core:
        for priority in ("interactive", "stream"):
            decoded_before = value(metrics, "scorer_decode_seconds_count")
            tasks = [asyncio.create_task(core.score(image, priority)) for _ in range(40)]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await core.score(image, priority)
            assert value(metrics, "scorer_decode_seconds_count") - decoded_before < 20
            await eventually(partial(nobody_waits, core, priority), "the last one under way is dropped", within_s=10)


async def test_the_end_refuses_who_waits_and_leaves_no_one_behind(metrics: Metrics) -> None:
    gate, entered = threading.Event(), threading.Event()
    warm_up = iter([None, None])

    def before(_: torch.Tensor) -> None:
        if next(warm_up, gate) is gate:
            entered.set()
            assert gate.wait(30)

    image = encode(photo(500, 400), "PNG")
    async with fake_core(metrics, before, cache_entries=0) as core:
        kinds: list[Priority] = ["interactive", "stream"]
        tasks = [asyncio.create_task(core.score(image, kinds[number % 2])) for number in range(100)]
        await asyncio.to_thread(entered.wait, 10)
        asyncio.get_running_loop().call_soon(gate.set)
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
    assert {type(outcome) for outcome in outcomes} <= {Prediction, Overloaded}
    assert any(isinstance(outcome, Overloaded) for outcome in outcomes)
    assert "stopping" in str(core.trouble())
    with pytest.raises(Overloaded, match="stopping"):
        await core.score(image, "stream")


def test_pixels_in_memory_are_bounded_and_one_picture_always_fits() -> None:
    budget = PixelBudget(100)
    holding, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal holding, most
        for _ in range(50):
            with budget.hold(40):
                with lock:
                    holding += 1
                    most = max(most, holding)
                with lock:
                    holding -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert 1 <= most <= 2
    with budget.hold(1000):
        pass


async def test_pictures_that_are_read_smaller_leave_their_room_to_those_behind_them(metrics: Metrics) -> None:
    images = [encode(photo(1600 + number, 1400), "JPEG") for number in range(6)]
    async with fake_core(metrics, max_image_pixels=1610 * 1400) as core, asyncio.timeout(30):
        assert all(isinstance(outcome, Prediction) for outcome in await core.score_all(images))
