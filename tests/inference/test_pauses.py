"""Where the engine can pause a forward pass, requests go through in the midst of a batch of the stream."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
import torch
from torch import Tensor

from errors import EngineRejected, Overloaded
from inference.engine import never
from inference.fake_engine import FakeEngine
from inference.isolation import Isolation
from inference.threads import InferenceThreadDied
from schemas.predictions import Prediction
from telemetry import Metrics
from tests.inference.small_core import (
    CLASSES,
    HELD,
    PROBE,
    Device,
    answers,
    ask,
    counted,
    decoded,
    hold_device,
    number_of,
    order_of,
    running,
)
from tests.waiting import eventually


def is_held(batch: Tensor) -> bool:
    return number_of(batch[0]) == HELD


@pytest.mark.parametrize(("pauses", "order"), [(0, [0, 1]), (1, [1, 0]), (5, [1, 0])])
async def test_a_request_is_answered_before_the_batch_that_was_under_way(
    device: Device, pauses: int, order: list[int]
) -> None:
    async with running(device, pauses=pauses) as core:
        stream = await hold_device(core, device)
        request = asyncio.create_task(ask(core, 1))
        ended = order_of(stream, request)
        await decoded(core, 1, "interactive")
        device.gate.set()
        assert answers(await request, 1)
        assert answers(await stream, HELD)
        await asyncio.sleep(0)
    assert ended == order


async def test_a_batch_of_requests_is_not_interrupted(device: Device) -> None:
    async with running(device, pauses=3) as core:
        tasks = [await hold_device(core, device, "interactive"), *(asyncio.create_task(ask(core, n)) for n in range(3))]
        ended = order_of(*tasks)
        await decoded(core, 3, "interactive")
        device.gate.set()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)
    assert ended[0] == 0


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


async def test_nobody_overtakes_a_request_that_has_joined_an_image_of_the_batch(device: Device) -> None:
    async with running(device, pauses=3, cache_entries=100) as core:
        stream = await hold_device(core, device)
        joined = asyncio.create_task(ask(core, HELD))
        await eventually(lambda: counted(core, "coalesced") == 1)
        later = [asyncio.create_task(ask(core, number)) for number in range(3)]
        ended = order_of(joined, *later)
        await decoded(core, 3, "interactive")
        device.gate.set()
        await asyncio.gather(stream, joined, *later)
        await asyncio.sleep(0)
    assert ended[0] == 0


async def test_a_request_that_left_before_the_pause_is_not_run(device: Device) -> None:
    async with running(device, pauses=2) as core:
        stream = await hold_device(core, device)
        left, stays = (asyncio.create_task(ask(core, number)) for number in (1, 2))
        await decoded(core, 2, "interactive")
        left.cancel()
        await asyncio.wait([left])
        device.gate.set()
        assert answers(await stays, 2)
        assert answers(await stream, HELD)
    assert device.batches == [[HELD], [2]]


async def test_closing_in_a_pause_answers_both_that_are_in_hand_and_refuses_the_rest(device: Device) -> None:
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(running(device, max_batch=1, pauses=1))
        stream = await hold_device(core, device)
        requests = [asyncio.create_task(ask(core, number)) for number in range(2)]
        await decoded(core, 2, "interactive")
        in_hand, closed = threading.Event(), threading.Event()

        def act(batch: Tensor) -> None:
            if not is_held(batch):
                in_hand.set()
                assert closed.wait(30)

        device.act = act
        device.gate.set()
        await eventually(in_hand.is_set)
        closing = asyncio.create_task(stack.aclose())
        await eventually(lambda: core._line.over is not None)
        closed.set()
        await closing
        outcomes = await asyncio.wait_for(asyncio.gather(stream, *requests, return_exceptions=True), 30)
    assert isinstance(outcomes[0], Prediction)
    assert {type(outcome) for outcome in outcomes[1:]} == {Prediction, Overloaded}  # whichever was decoded first


def test_images_that_are_run_again_one_by_one_pause_as_well() -> None:
    pauses: list[None] = []
    isolation = Isolation(FakeEngine(CLASSES, pauses=2), PROBE, Metrics())
    fine, broken = torch.full((3, 8, 8), 0.5), torch.full((3, 8, 8), torch.nan)
    outcomes = isolation.outcomes([fine, broken, fine], None, lambda: pauses.append(None))
    assert list(outcomes.failures) == [1]
    assert len(pauses) == 2 + 2


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
        outcomes = await asyncio.wait_for(asyncio.gather(stream, request, return_exceptions=True), 30)
        assert {type(outcome) for outcome in outcomes} == {InferenceThreadDied}
        assert ("SystemExit" if broken == "the engine's thread" else "a bug") in str(core.trouble())
    assert device.batches == [[HELD], [1]]


@pytest.mark.parametrize("pauses", [0, 4])
async def test_a_caller_is_told_of_a_wait_that_is_no_longer_than_until_the_next_pause(
    device: Device, pauses: int
) -> None:
    device.act = lambda batch: time.sleep(0.5 * len(batch))
    async with running(device, pauses=pauses, short_batch_s=0.2) as core:
        await ask(core, 1)
        alone_s = core._batcher.wait_s(1)
        stream = await hold_device(core, device)
        wait_s = core._batcher.wait_s(1)
        device.gate.set()
        await stream
    assert alone_s > 0.4
    assert (wait_s < 1.7 * alone_s) == bool(pauses)  # the stream's turn is a quarter
