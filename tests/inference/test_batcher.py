"""The batcher's promises: own answers, requests first, nobody starves, nobody waits for ever, bad images fail alone."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
import torch
from torch import Tensor

from errors import EngineRejected, Overloaded
from inference.fake_engine import FakeEngine
from inference.isolation import Isolation
from inference.threads import InferenceThreadDied
from inference.works import Priority
from schemas.predictions import Prediction
from telemetry import Metrics
from tests.inference.small_core import (
    CLASSES,
    HELD,
    PROBE,
    Device,
    answers,
    ask,
    decoded,
    hold_device,
    running,
    score_backlog,
)
from tests.waiting import eventually

BAD = 255


@pytest.mark.parametrize("pauses", [0, 3])
async def test_many_callers_at_once_each_get_their_own_answer(device: Device, pauses: int) -> None:
    async with running(device, max_batch=7, places=1000, pauses=pauses) as core:
        kinds: list[Priority] = ["interactive", "stream"]
        found = await asyncio.gather(*(ask(core, number, kinds[number % 2]) for number in range(600)))
    for number, answer in enumerate(found):
        assert answers(answer, number), number
    assert max(map(len, device.batches)) == 7
    assert all(len({number % 2 for number in batch}) == 1 for batch in device.batches)


async def test_a_free_device_takes_what_is_there_at_once(device: Device) -> None:
    async with running(device) as core:
        await score_backlog(core, device, 20, ahead=20)
    assert [sorted(batch) for batch in device.batches] == [[HELD], list(range(20))]


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
    device.act = lambda batch: time.sleep(0.01 * len(batch))
    async with running(device, short_batch_s=0.06) as core:
        await ask(core, 5)
        await asyncio.gather(*(ask(core, number, "stream") for number in range(40)))
    assert max(map(len, device.batches)) <= 6


async def test_beside_requests_no_more_of_the_stream_is_decoded_than_two_short_batches(device: Device) -> None:
    """What is decoded in one go slows the forward pass beside it, and who waits behind that."""
    device.act = lambda batch: time.sleep(0.01 * len(batch))
    async with running(device, short_batch_s=0.06) as core:
        await asyncio.gather(*(ask(core, number) for number in range(20)))
        held = await hold_device(core, device, "interactive")
        stream = [asyncio.create_task(ask(core, number, "stream")) for number in range(100, 140)]
        await eventually(lambda: core._line.depth("stream") == 40 and core._line._decoded["stream"])
        await asyncio.sleep(0.2)  # time enough to decode too many
        assert 1 <= len(core._line._decoded["stream"]) <= 12
        device.gate.set()
        await asyncio.gather(held, *stream)


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
        found = await score_backlog(core, device, 100, ahead=32)
    assert answers(found[77], 77)
    assert [len(batch) for batch in device.batches if len(batch) > 4] == [16, 8, 8]


async def test_a_batch_is_no_larger_than_the_engine_has_use_for(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeEngine, "most", 3)
    async with running(device) as core:
        await score_backlog(core, device, 20, ahead=6)
    assert max(map(len, device.batches)) == 3


async def test_when_the_device_thread_dies_everyone_is_told(device: Device) -> None:
    def act(_: Tensor) -> None:
        raise SystemExit(3)

    async with running(device, max_batch=2) as core:
        held = await hold_device(core, device)
        tasks = [asyncio.create_task(ask(core, number, "stream")) for number in range(200)]
        await decoded(core, 4)
        device.act = act
        device.gate.set()
        outcomes = await asyncio.wait_for(asyncio.gather(held, *tasks, return_exceptions=True), 30)
        assert {type(outcome) for outcome in outcomes} == {InferenceThreadDied}
        assert "SystemExit" in str(core.trouble())
        for priority in ("interactive", "stream"):
            with pytest.raises(InferenceThreadDied):
                await asyncio.wait_for(ask(core, 1, priority), 10)


async def test_closing_answers_what_is_in_hand_and_refuses_the_rest(device: Device) -> None:
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(running(device, max_batch=4))
        held = await hold_device(core, device)
        tasks = [asyncio.create_task(ask(core, number, "stream")) for number in range(20)]
        tasks += [asyncio.create_task(ask(core, number)) for number in range(3)]
        await decoded(core, 8)
        await decoded(core, 3, "interactive")
        closing = asyncio.create_task(stack.aclose())
        outcomes = await asyncio.wait_for(asyncio.gather(held, *tasks, return_exceptions=True), 30)
        await closing
    assert isinstance(outcomes[0], Prediction)
    assert {type(outcome) for outcome in outcomes[1:]} == {Overloaded}
    with pytest.raises(Overloaded, match="stopping"):
        await ask(core, 1)
