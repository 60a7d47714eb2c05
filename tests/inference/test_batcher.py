"""The batcher's promises: own answers, requests first, nobody starves, nobody waits for ever, bad images fail alone."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from errors import EngineRejected, Overloaded
from inference.batcher import Answer, Batcher, BatchPolicy, DeviceThreadDied
from inference.fake_engine import FakeEngine
from inference.isolation import Isolation
from inference.places import Priority
from telemetry import Metrics
from tests.waiting import eventually

PROBE = torch.full((3, 8, 8), 127, dtype=torch.uint8)
CLASSES = 40
BAD = 255


def image(number: int) -> Tensor:
    """uint8 [3, 8, 8] of its own colours; `number`, below 65,536, can be read back from its first pixels."""
    pixels = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(number))
    pixels[0, 0, 0], pixels[0, 0, 1] = number % 256, number // 256
    return pixels


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
async def running(device: Device, **policy: Any) -> AsyncIterator[Batcher]:
    batcher = Batcher(FakeEngine(CLASSES, before=device), BatchPolicy(**policy), Metrics(), PROBE)
    async with batcher.running():
        try:
            yield batcher
        finally:
            device.gate.set()


async def ask(batcher: Batcher, number: int, priority: Priority = "interactive") -> Answer:
    async with batcher.place(priority):
        return await batcher.predict(image(number), priority)


def expected(number: int) -> Tensor:
    return FakeEngine(CLASSES).predict(image(number).unsqueeze(0))[0]


async def hold_device(batcher: Batcher, device: Device, priority: Priority = "stream") -> asyncio.Task[Answer]:
    """Let the device thread hang in a batch of one, so that what comes next queues up."""
    device.gate.clear()
    device.entered.clear()
    task = asyncio.create_task(ask(batcher, 60_000, priority))
    await eventually(device.entered.is_set)
    return task


async def test_many_callers_at_once_each_get_their_own_answer(device: Device) -> None:
    async with running(device, max_batch=7, places=1000) as batcher:
        kinds: list[Priority] = ["interactive", "stream"]
        answers = await asyncio.gather(*(ask(batcher, number, kinds[number % 2]) for number in range(600)))
    for number, answer in enumerate(answers):
        assert torch.allclose(answer.probabilities, expected(number), atol=1e-5), number
    assert max(map(len, device.batches)) == 7
    assert all(len({number % 2 for number in batch}) == 1 for batch in device.batches)


async def test_a_free_device_takes_what_is_there_at_once(device: Device) -> None:
    async with running(device) as batcher:
        held = await hold_device(batcher, device)
        tasks = [asyncio.create_task(ask(batcher, number, "stream")) for number in range(20)]
        await eventually(lambda: len(batcher._queues["stream"]) == 20)
        device.gate.set()
        await asyncio.gather(held, *tasks)
    assert device.batches == [[60_000], list(range(20))]


async def test_a_request_overtakes_a_backlog_of_the_stream(device: Device) -> None:
    async with running(device, max_batch=4) as batcher:
        held = await hold_device(batcher, device)
        stream = [asyncio.create_task(ask(batcher, number, "stream")) for number in range(40)]
        await eventually(lambda: len(batcher._queues["stream"]) == 40)
        requests = [asyncio.create_task(ask(batcher, number)) for number in (1000, 1001)]
        await eventually(lambda: len(batcher._queues["interactive"]) == 2)
        device.gate.set()
        await asyncio.gather(held, *requests, *stream)
    assert device.batches[1] == [1000, 1001]


async def test_the_stream_s_batches_are_short_while_requests_are_around(device: Device) -> None:
    device.act = lambda batch: time.sleep(0.004 * len(batch))
    async with running(device, max_batch=16, short_batch_s=0.02) as batcher:
        await asyncio.gather(*(ask(batcher, number, "stream") for number in range(64)))
        alone = [len(batch) for batch in device.batches]
        device.batches.clear()
        await ask(batcher, 5)
        await asyncio.gather(*(ask(batcher, number, "stream") for number in range(64)))
        beside = [len(batch) for batch in device.batches]
    assert max(alone) == 16
    assert max(beside) <= 6


@pytest.mark.parametrize(("stream_wait_s", "served"), [(0.02, True), (1000.0, False)])
async def test_the_stream_does_not_starve_behind_requests(device: Device, stream_wait_s: float, served: bool) -> None:
    async with running(device, max_batch=1, stream_wait_s=stream_wait_s) as batcher:
        held = await hold_device(batcher, device, "interactive")
        requests = [asyncio.create_task(ask(batcher, number)) for number in range(100)]
        stream = asyncio.create_task(ask(batcher, 1000, "stream"))
        await eventually(lambda: len(batcher._queues["interactive"]) == 100 and len(batcher._queues["stream"]) == 1)
        device.act = lambda _: time.sleep(0.001)
        device.gate.set()
        await asyncio.gather(held, stream, *requests)
    position = device.batches.index([1000])
    assert (position < 90) == served


async def test_work_whose_caller_left_is_not_run(device: Device) -> None:
    async with running(device) as batcher:
        held = await hold_device(batcher, device)
        tasks = [asyncio.create_task(ask(batcher, number)) for number in range(10)]
        await eventually(lambda: len(batcher._queues["interactive"]) == 10)
        for task in tasks[:9]:
            task.cancel()
        await asyncio.wait(tasks[:9])
        device.gate.set()
        await asyncio.gather(held, tasks[9])
    assert device.batches[1:] == [[9]]
    assert all(task.cancelled() for task in tasks[:9])


async def test_a_full_house_refuses_requests_and_lets_the_stream_wait(device: Device) -> None:
    async with running(device, places=3, max_batch=2) as batcher:
        held = await hold_device(batcher, device, "interactive")
        requests = [asyncio.create_task(ask(batcher, number)) for number in range(2)]
        stream = [asyncio.create_task(ask(batcher, number, "stream")) for number in range(10, 16)]
        await eventually(lambda: [len(queue) for queue in batcher._queues.values()] == [2, 3])
        with pytest.raises(Overloaded) as refusal:
            await ask(batcher, 99)
        assert refusal.value.retry_after_s >= 1
        device.gate.set()
        await asyncio.gather(held, *requests, *stream)
        assert torch.allclose((await ask(batcher, 99)).probabilities, expected(99), atol=1e-5)


async def test_a_bad_image_fails_alone(device: Device) -> None:
    def act(batch: Tensor) -> None:
        if any(int(pixels[0, 0, 0]) == BAD for pixels in batch):
            raise RuntimeError("shape of trouble")

    device.act = act
    async with running(device) as batcher:
        held = await hold_device(batcher, device)
        tasks = [asyncio.create_task(ask(batcher, number, "stream")) for number in (1, 2, 3, BAD, 4, 5, 6)]
        await eventually(lambda: len(batcher._queues["stream"]) == 7)
        device.gate.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await held
        assert batcher.trouble() is None
    assert isinstance(outcomes[3], EngineRejected)
    assert "shape of trouble" in str(outcomes[3])
    for number, outcome in zip((1, 2, 3, None, 4, 5, 6), outcomes, strict=True):
        if number is not None:
            assert isinstance(outcome, Answer)
            assert torch.allclose(outcome.probabilities, expected(number), atol=1e-5)


def test_an_image_with_probabilities_that_are_not_finite_fails_alone() -> None:
    isolation = Isolation(FakeEngine(CLASSES), PROBE, Metrics())
    broken, fine = torch.full((3, 8, 8), torch.nan), torch.full((3, 8, 8), 0.5)
    first, rejected, last = isolation.answers([fine, broken, fine])
    assert isinstance(rejected, EngineRejected)
    assert "not finite" in str(rejected)
    assert isinstance(first, Tensor)
    assert isinstance(last, Tensor)
    assert isolation.trouble is None


async def test_a_failure_that_passes_is_nobody_s_fault(device: Device) -> None:
    failures = iter([MemoryError("just now")])

    def act(batch: Tensor) -> None:
        if not torch.equal(batch[0], PROBE) and (failure := next(failures, None)):
            raise failure

    device.act = act
    async with running(device) as batcher:
        assert torch.allclose((await ask(batcher, 1)).probabilities, expected(1), atol=1e-5)


async def test_an_engine_that_fails_on_everything_is_a_bug_and_says_so_until_it_works_again(device: Device) -> None:
    broken = ZeroDivisionError("lost the device")

    def act(_: Tensor) -> None:
        raise broken

    async with running(device) as batcher:
        device.act = act
        outcomes = await asyncio.gather(*(ask(batcher, number) for number in range(3)), return_exceptions=True)
        assert outcomes == [broken] * 3
        assert "lost the device" in str(batcher.trouble())
        device.act = lambda _: None
        await ask(batcher, 1)
        assert batcher.trouble() is None


async def test_a_batch_that_does_not_fit_into_memory_is_halved_and_later_ones_are_smaller(device: Device) -> None:
    def act(batch: Tensor) -> None:
        if len(batch) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")

    device.act = act
    async with running(device, max_batch=16, places=200) as batcher:
        held = await hold_device(batcher, device)
        tasks = [asyncio.create_task(ask(batcher, number, "stream")) for number in range(100)]
        await eventually(lambda: len(batcher._queues["stream"]) == 100)
        device.gate.set()
        answers = await asyncio.gather(*tasks)
        await held
    assert torch.allclose(answers[77].probabilities, expected(77), atol=1e-5)
    assert [len(batch) for batch in device.batches if len(batch) > 4] == [16, 8, 8]


async def test_when_the_device_thread_dies_everyone_is_told(device: Device) -> None:
    def act(_: Tensor) -> None:
        raise SystemExit(3)

    async with running(device, max_batch=2) as batcher:
        held = await hold_device(batcher, device)
        tasks = [asyncio.create_task(ask(batcher, number, "stream")) for number in range(200)]
        await eventually(lambda: len(batcher._queues["stream"]) == 127)
        device.act = act
        device.gate.set()
        outcomes = await asyncio.wait_for(asyncio.gather(held, *tasks, return_exceptions=True), 10)
        assert {type(outcome) for outcome in outcomes} == {DeviceThreadDied}
        assert "SystemExit" in str(batcher.trouble())
        for priority in ("interactive", "stream"):
            with pytest.raises(DeviceThreadDied):
                await asyncio.wait_for(ask(batcher, 1, priority), 1)


async def test_closing_answers_what_is_in_hand_and_refuses_the_rest(device: Device) -> None:
    async with AsyncExitStack() as stack:
        batcher = Batcher(FakeEngine(CLASSES, before=device), BatchPolicy(places=5), Metrics(), PROBE)
        await stack.enter_async_context(batcher.running())
        held = await hold_device(batcher, device)
        tasks = [asyncio.create_task(ask(batcher, number, "stream")) for number in range(20)]
        tasks += [asyncio.create_task(ask(batcher, number)) for number in range(3)]
        await eventually(lambda: [len(queue) for queue in batcher._queues.values()] == [3, 4])
        closing = asyncio.create_task(stack.aclose())
        await eventually(lambda: batcher.trouble() is not None)
        device.gate.set()
        outcomes = await asyncio.wait_for(asyncio.gather(held, *tasks, return_exceptions=True), 10)
        await closing
    assert isinstance(outcomes[0], Answer)
    assert {type(outcome) for outcome in outcomes[1:]} == {Overloaded}
    with pytest.raises(Overloaded, match="stopping"):
        await ask(batcher, 1)
