"""Where the engine can pause a forward pass, requests go through in the midst of a batch of the stream."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

import pytest
from torch import Tensor

from errors import EngineRejected
from inference.engine import never
from inference.fake_engine import FakeEngine
from inference.threads import InferenceThreadDied
from tests.inference.small_core import HELD, Device, answers, ask, decoded, hold_device, running


@pytest.fixture
def device() -> Device:
    device = Device()
    device.gate.set()
    return device


def _append(done: list[int], number: int, _: object) -> None:
    done.append(number)


def is_held(batch: Tensor) -> bool:
    return int(batch[0, 0, 0, 0]) + 256 * int(batch[0, 0, 0, 1]) == HELD


@pytest.mark.parametrize(("pauses", "first"), [(0, "stream"), (1, "request"), (5, "request")])
async def test_a_request_is_answered_before_the_batch_that_was_under_way(
    device: Device, pauses: int, first: str
) -> None:
    done: list[str] = []
    async with running(device, pauses=pauses) as core:
        stream = await hold_device(core, device)
        request = asyncio.create_task(ask(core, 1))
        stream.add_done_callback(lambda _: done.append("stream"))
        request.add_done_callback(lambda _: done.append("request"))
        await decoded(core, 1, "interactive")
        device.gate.set()
        assert answers(await request, 1)
        assert answers(await stream, HELD)
        await asyncio.sleep(0)
    assert done[0] == first


async def test_a_batch_of_requests_is_not_interrupted(device: Device) -> None:
    done: list[int] = []
    async with running(device, pauses=3) as core:
        tasks = [await hold_device(core, device, "interactive"), *(asyncio.create_task(ask(core, n)) for n in range(3))]
        for number, task in enumerate(tasks):
            task.add_done_callback(partial(_append, done, number))
        await decoded(core, 3, "interactive")
        device.gate.set()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)
    assert done[0] == 0


async def test_the_stream_s_batches_stay_large_beside_requests(device: Device) -> None:
    device.act = lambda batch: time.sleep(0.005 * len(batch))
    async with running(device, short_batch_s=0.02, pauses=3) as core:
        await ask(core, 5)
        await asyncio.gather(*(ask(core, number, "stream") for number in range(60)))
    assert max(map(len, device.batches)) > 8


@pytest.mark.parametrize(("stream_wait_s", "waits"), [(0.02, False), (1000.0, True)])
async def test_a_batch_is_not_held_up_for_ever(device: Device, stream_wait_s: float, waits: bool) -> None:
    """Requests that fill the device get `stream_wait_s` of it for each `short_batch_s` of the batch."""
    async with running(device, max_batch=1, pauses=2, stream_wait_s=stream_wait_s) as core:
        stream = await hold_device(core, device)
        requests = [asyncio.create_task(ask(core, number)) for number in range(100)]
        await decoded(core, 100, "interactive")
        device.act = lambda batch: None if is_held(batch) else time.sleep(0.001)
        device.gate.set()
        await stream
        assert all(request.done() for request in requests) == waits
        await asyncio.gather(*requests)


async def test_standing_still_is_waiting_and_no_cost_of_the_batch(device: Device) -> None:
    async with running(device, pauses=1) as core:
        device.act = lambda batch: None if is_held(batch) else time.sleep(0.3)
        stream = await hold_device(core, device)
        request = asyncio.create_task(ask(core, 1))
        await decoded(core, 1, "interactive")
        device.gate.set()
        await request
        timings = (await stream).timings_ms
        assert timings.queue > 300
        assert timings.total > timings.infer + 300
        samples = [sample for metric in core._metrics.inference_seconds.collect() for sample in metric.samples]
        (spent,) = (sample.value for sample in samples if sample.name.endswith("_sum"))
        assert spent * 1000 < timings.infer + 300 + 250  # not the pause for a second time


async def test_a_request_that_the_engine_rejects_leaves_the_batch_around_it_alone(device: Device) -> None:
    def act(batch: Tensor) -> None:
        if int(batch[0, 0, 0, 0]) == 13:
            raise RuntimeError("not this one")

    device.act = act
    async with running(device, pauses=2) as core:
        stream = await hold_device(core, device)
        request = asyncio.create_task(ask(core, 13))
        await decoded(core, 1, "interactive")
        device.gate.set()
        with pytest.raises(EngineRejected, match="not this one"):
            await request
        assert answers(await stream, HELD)
    assert device.batches.count([HELD]) == 1


async def test_a_batch_that_fails_behind_a_pause_is_tried_again_and_the_request_is_not(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([MemoryError("just now")])
    undisturbed = FakeEngine.predict

    def predict(engine: FakeEngine, batch: Tensor, pause: Callable[[], None] = never) -> Tensor:
        rows = undisturbed(engine, batch, pause)
        if is_held(batch) and (failure := next(failures, None)):
            raise failure
        return rows

    async with running(device, pauses=2) as core:
        monkeypatch.setattr(FakeEngine, "predict", predict)
        stream = await hold_device(core, device)
        request = asyncio.create_task(ask(core, 1))
        await decoded(core, 1, "interactive")
        device.gate.set()
        assert answers(await request, 1)
        assert answers(await stream, HELD)
    assert device.batches == [[HELD], [1], [HELD]]


@pytest.mark.parametrize("broken", ["the engine's thread", "our own code"])
async def test_when_the_device_thread_dies_in_a_pause_both_are_told(
    device: Device, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def act(batch: Tensor) -> None:
        if broken == "the engine's thread" and not is_held(batch):
            raise SystemExit(3)

    async with running(device, pauses=1) as core:
        stream = await hold_device(core, device)
        request = asyncio.create_task(ask(core, 1))
        await decoded(core, 1, "interactive")
        device.act = act
        if broken == "our own code":
            observe = core._batcher._cost.observe
            fails = iter([ZeroDivisionError("a bug")])

            def observed(images: int, seconds: float) -> None:
                observe(images, seconds)
                if failure := next(fails, None):
                    raise failure

            monkeypatch.setattr(core._batcher._cost, "observe", observed)
        device.gate.set()
        outcomes = await asyncio.wait_for(asyncio.gather(stream, request, return_exceptions=True), 10)
        assert {type(outcome) for outcome in outcomes} == {InferenceThreadDied}
        assert ("SystemExit" if broken == "the engine's thread" else "a bug") in str(core.trouble())
    assert device.batches == [[HELD], [1]]


@pytest.mark.parametrize("pauses", [0, 4])
async def test_a_caller_is_told_of_a_wait_that_is_no_longer_than_until_the_next_pause(
    device: Device, pauses: int
) -> None:
    device.act = lambda batch: time.sleep(0.1 * len(batch))
    async with running(device, pauses=pauses) as core:
        for number in range(3):
            await ask(core, number)
        alone_s = core._batcher.wait_s(1)
        stream = await hold_device(core, device)
        wait_s = core._batcher.wait_s(1)
        device.gate.set()
        await stream
    assert alone_s > 0.09
    assert (wait_s < 1.5 * alone_s) == bool(pauses)
