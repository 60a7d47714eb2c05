"""The batcher's promises: own answers, requests first, nobody starves, nobody waits for ever, bad images fail alone."""

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from errors import EngineRejected, Overloaded
from inference.core import InferenceCore, run_core
from inference.fake_engine import FakeEngine
from inference.isolation import Isolation
from inference.preprocess import Preprocessing
from inference.threads import InferenceThreadDied
from inference.works import Priority
from schemas.predictions import ModelInfo, Prediction
from settings import InferenceSettings
from telemetry import Metrics
from tests.waiting import eventually

SIDE = 8
PROBE = torch.full((3, SIDE, SIDE), 127, dtype=torch.uint8)
CLASSES = 40
BAD = 255
INFO = ModelInfo(
    model_version="fake-0", name="fake", weights="none", weights_sha256="0" * 64, preprocessing="none",
    labels=tuple(f"label {number}" for number in range(CLASSES)), engine="fake", precision="fp32", device="cpu",
)  # fmt: skip


def pixels(number: int) -> Tensor:
    """uint8 [3, 8, 8] of its own colours; `number`, below 65,536, can be read back from its first pixels."""
    made = torch.randint(0, 256, (3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(number))
    made[0, 0, 0], made[0, 0, 1] = number % 256, number // 256
    return made


def image(number: int) -> bytes:
    """A file that is decoded to exactly these pixels."""
    file = io.BytesIO()
    Image.fromarray(pixels(number).permute(1, 2, 0).numpy()).save(file, "PNG")
    return file.getvalue()


@dataclass
class Device:
    """What the engine of a test saw and does: `gate` holds it, `act` may raise on a batch."""

    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    batches: list[list[int]] = field(default_factory=list)
    act: Callable[[Tensor], None] = lambda _: None

    def __call__(self, batch: Tensor) -> None:
        if len(batch) == 1 and torch.equal(batch[0], PROBE):
            self.act(batch)
            return
        self.batches.append([int(pixels[0, 0, 0]) + 256 * int(pixels[0, 0, 1]) for pixels in batch])
        self.entered.set()
        assert self.gate.wait(30)
        self.act(batch)


@pytest.fixture
def device() -> Device:
    device = Device()
    device.gate.set()
    return device


@asynccontextmanager
async def running(
    device: Device, *, max_batch: int = 32, places: int = 128, **policy: Any
) -> AsyncIterator[InferenceCore]:
    """A core of small pictures, without a cache."""
    settings = InferenceSettings(max_batch=max_batch, cache_entries=0)
    engine = FakeEngine(CLASSES, before=device)
    async with run_core(INFO, Preprocessing(resize=SIDE, crop=SIDE), engine, settings, Metrics()) as core:
        core._batcher._policy = replace(core._batcher._policy, **policy)
        core._places._most = places
        try:
            yield core
        finally:
            device.gate.set()


async def ask(core: InferenceCore, number: int, priority: Priority = "interactive") -> Prediction:
    return await core.score(image(number), priority, top_k=CLASSES)


async def decoded(core: InferenceCore, count: int, priority: Priority = "stream") -> None:
    """Wait until so many images wait for the device."""
    await eventually(lambda: len(core._line._decoded[priority]) == count)


def answers(prediction: Prediction, number: int) -> bool:
    """Whether this is the answer for that image."""
    expected = FakeEngine(CLASSES).predict(pixels(number).unsqueeze(0))[0]
    return all(abs(entry.probability - float(expected[entry.class_id])) < 1e-5 for entry in prediction.top)


async def hold_device(core: InferenceCore, device: Device, priority: Priority = "stream") -> asyncio.Task[Prediction]:
    """Let the device thread hang in a batch of one, so that what comes next queues up."""
    device.gate.clear()
    device.entered.clear()
    task = asyncio.create_task(ask(core, 60_000, priority))
    await eventually(device.entered.is_set)
    return task


async def test_many_callers_at_once_each_get_their_own_answer(device: Device) -> None:
    async with running(device, max_batch=7, places=1000) as core:
        kinds: list[Priority] = ["interactive", "stream"]
        found = await asyncio.gather(*(ask(core, number, kinds[number % 2]) for number in range(600)))
    for number, answer in enumerate(found):
        assert answers(answer, number), number
    assert 1 < max(map(len, device.batches)) <= 7
    assert all(len({number % 2 for number in batch}) == 1 for batch in device.batches)


async def test_a_free_device_takes_what_is_there_at_once(device: Device) -> None:
    async with running(device) as core:
        held = await hold_device(core, device)
        tasks = [asyncio.create_task(ask(core, number, "stream")) for number in range(20)]
        await decoded(core, 20)
        device.gate.set()
        await asyncio.gather(held, *tasks)
    assert [sorted(batch) for batch in device.batches] == [[60_000], list(range(20))]


async def test_a_request_overtakes_a_backlog_of_the_stream(device: Device) -> None:
    async with running(device, max_batch=4) as core:
        held = await hold_device(core, device)
        stream = [asyncio.create_task(ask(core, number, "stream")) for number in range(40)]
        await decoded(core, 8)
        requests = [asyncio.create_task(ask(core, number)) for number in (1000, 1001)]
        await decoded(core, 2, "interactive")
        device.gate.set()
        await asyncio.gather(held, *requests, *stream)
    assert sorted(device.batches[1]) == [1000, 1001]


async def test_the_stream_s_batches_are_short_while_requests_are_around(device: Device) -> None:
    """On a device that is slow to begin, so that large batches pay."""
    device.act = lambda batch: time.sleep(0.01 + 0.001 * len(batch))
    async with running(device, max_batch=16, short_batch_s=0.016) as core:
        await asyncio.gather(*(ask(core, number, "stream") for number in range(200)))
        alone = [len(batch) for batch in device.batches]
        device.batches.clear()
        await ask(core, 5)
        await asyncio.gather(*(ask(core, number, "stream") for number in range(64)))
        beside = [len(batch) for batch in device.batches]
    assert max(alone) == 16
    assert max(beside) <= 7


async def test_batches_are_no_larger_than_what_raises_the_throughput_while_requests_are_around(device: Device) -> None:
    """On a device without overhead, where an image costs the same in every batch."""
    device.act = lambda batch: time.sleep(0.002 * len(batch))
    async with running(device) as core:
        await ask(core, 5)
        await asyncio.gather(*(ask(core, number, "stream") for number in range(100)))
    assert max(map(len, device.batches)) <= 10


@pytest.mark.parametrize(("stream_wait_s", "served"), [(0.02, True), (1000.0, False)])
async def test_the_stream_does_not_starve_behind_requests(device: Device, stream_wait_s: float, served: bool) -> None:
    async with running(device, max_batch=1, stream_wait_s=stream_wait_s) as core:
        held = await hold_device(core, device, "interactive")
        requests = [asyncio.create_task(ask(core, number)) for number in range(100)]
        stream = asyncio.create_task(ask(core, 1000, "stream"))
        await decoded(core, 100, "interactive")
        await decoded(core, 1)
        device.act = lambda _: time.sleep(0.001)
        device.gate.set()
        await asyncio.gather(held, stream, *requests)
    position = device.batches.index([1000])
    assert (position < 90) == served


async def test_work_whose_caller_left_is_not_run(device: Device) -> None:
    async with running(device) as core:
        held = await hold_device(core, device)
        tasks = [asyncio.create_task(ask(core, number)) for number in range(10)]
        await decoded(core, 10, "interactive")
        for task in tasks[:9]:
            task.cancel()
        await asyncio.wait(tasks[:9])
        device.gate.set()
        await asyncio.gather(held, tasks[9])
    assert device.batches[1:] == [[9]]
    assert all(task.cancelled() for task in tasks[:9])


async def test_a_full_house_refuses_requests_and_lets_the_stream_wait(device: Device) -> None:
    async with running(device, places=3, max_batch=2) as core:
        held = await hold_device(core, device, "interactive")
        requests = [asyncio.create_task(ask(core, number)) for number in range(2)]
        stream = [asyncio.create_task(ask(core, number, "stream")) for number in range(10, 16)]
        await decoded(core, 2, "interactive")
        await decoded(core, 4)
        with pytest.raises(Overloaded) as refusal:
            await ask(core, 99)
        assert refusal.value.retry_after_s > 0
        device.gate.set()
        await asyncio.gather(held, *requests, *stream)
        assert answers(await ask(core, 99), 99)


async def test_a_bad_image_fails_alone(device: Device) -> None:
    def act(batch: Tensor) -> None:
        if any(int(pixels[0, 0, 0]) == BAD for pixels in batch):
            raise RuntimeError("shape of trouble")

    device.act = act
    async with running(device) as core:
        held = await hold_device(core, device)
        tasks = [asyncio.create_task(ask(core, number, "stream")) for number in (1, 2, 3, BAD, 4, 5, 6)]
        await decoded(core, 7)
        device.gate.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await held
        assert core.trouble() is None
    assert isinstance(outcomes[3], EngineRejected)
    assert "shape of trouble" in str(outcomes[3])
    for number, outcome in zip((1, 2, 3, None, 4, 5, 6), outcomes, strict=True):
        if number is not None:
            assert isinstance(outcome, Prediction)
            assert answers(outcome, number)


def test_an_image_with_probabilities_that_are_not_finite_fails_alone() -> None:
    isolation = Isolation(FakeEngine(CLASSES), PROBE, Metrics())
    broken, fine = torch.full((3, 8, 8), torch.nan), torch.full((3, 8, 8), 0.5)
    outcomes = isolation.outcomes([fine, fine / 2, broken, fine])
    assert list(outcomes.failures) == [2]
    assert isinstance(outcomes.failures[2], EngineRejected)
    assert "not finite" in str(outcomes.failures[2])
    expected = FakeEngine(CLASSES).predict(torch.stack([fine, fine / 2, fine]))
    assert torch.allclose(outcomes.rows, expected, atol=1e-5)
    assert isolation.trouble is None


async def test_a_failure_that_passes_is_nobody_s_fault(device: Device) -> None:
    failures = iter([MemoryError("just now")])

    def act(batch: Tensor) -> None:
        if not torch.equal(batch[0], PROBE) and (failure := next(failures, None)):
            raise failure

    device.act = act
    async with running(device) as core:
        assert answers(await ask(core, 1), 1)


async def test_an_engine_that_fails_on_everything_is_a_bug_and_says_so_until_it_works_again(device: Device) -> None:
    broken = ZeroDivisionError("lost the device")

    def act(_: Tensor) -> None:
        raise broken

    async with running(device) as core:
        device.act = act
        outcomes = await asyncio.gather(*(ask(core, number) for number in range(3)), return_exceptions=True)
        assert outcomes == [broken] * 3
        assert "lost the device" in str(core.trouble())
        device.act = lambda _: None
        await ask(core, 1)
        assert core.trouble() is None


async def test_a_batch_that_does_not_fit_into_memory_is_halved_and_later_ones_are_smaller(device: Device) -> None:
    def act(batch: Tensor) -> None:
        if len(batch) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")

    device.act = act
    async with running(device, max_batch=16, places=200) as core:
        held = await hold_device(core, device)
        tasks = [asyncio.create_task(ask(core, number, "stream")) for number in range(100)]
        await decoded(core, 32)
        device.gate.set()
        found = await asyncio.gather(*tasks)
        await held
    assert answers(found[77], 77)
    sizes = [len(batch) for batch in device.batches]
    assert max(sizes[:2]) > 8
    assert all(size <= 4 for size in sizes[4:])


async def test_when_the_device_thread_dies_everyone_is_told(device: Device) -> None:
    def act(_: Tensor) -> None:
        raise SystemExit(3)

    async with running(device, max_batch=2) as core:
        held = await hold_device(core, device)
        tasks = [asyncio.create_task(ask(core, number, "stream")) for number in range(200)]
        await decoded(core, 4)
        device.act = act
        device.gate.set()
        outcomes = await asyncio.wait_for(asyncio.gather(held, *tasks, return_exceptions=True), 10)
        assert {type(outcome) for outcome in outcomes} == {InferenceThreadDied}
        assert "SystemExit" in str(core.trouble())
        for priority in ("interactive", "stream"):
            with pytest.raises(InferenceThreadDied):
                await asyncio.wait_for(ask(core, 1, priority), 1)


async def test_closing_answers_what_is_in_hand_and_refuses_the_rest(device: Device) -> None:
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(running(device, max_batch=4))
        held = await hold_device(core, device)
        tasks = [asyncio.create_task(ask(core, number, "stream")) for number in range(20)]
        tasks += [asyncio.create_task(ask(core, number)) for number in range(3)]
        await decoded(core, 8)
        await decoded(core, 3, "interactive")
        closing = asyncio.create_task(stack.aclose())
        outcomes = await asyncio.wait_for(asyncio.gather(held, *tasks, return_exceptions=True), 10)
        await closing
    assert isinstance(outcomes[0], Prediction)
    assert {type(outcome) for outcome in outcomes[1:]} == {Overloaded}
    with pytest.raises(Overloaded, match="stopping"):
        await ask(core, 1)
