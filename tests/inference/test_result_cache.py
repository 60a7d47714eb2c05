"""The same bytes cost one inference, whoever sends them and however many at once; and nobody is worse off for it."""

import asyncio
import hashlib

import torch
from torch import Tensor

from errors import EngineRejected, InvalidImage
from inference.works import Priority
from schemas.predictions import Prediction
from tests.inference.small_core import HELD, Device, answers, ask, counted, decoded, hold_device, image, running
from tests.waiting import eventually


async def test_a_second_look_at_the_same_bytes_is_answered_from_the_cache_and_says_so(device: Device) -> None:
    async with running(device, cache_entries=10) as core:
        first = await ask(core, 1)
        again = await core.score(image(1), "stream")
        third = await core.score(image(1), "interactive", top_k=7)
    assert device.batches == [[1]]
    assert answers(third, 1)
    assert (first.cached, again.cached, third.cached) == (False, True, True)
    assert third.top == first.top[:7]
    assert (third.image, third.probability) == (first.image, first.probability)
    assert first.timings_ms.infer > 0
    assert (third.timings_ms.decode, third.timings_ms.infer) == (0, 0)
    assert (counted(core, "miss"), counted(core, "hit"), counted(core, "coalesced")) == (1, 2, 0)


async def test_the_same_bytes_a_hundred_times_at_once_cost_one_inference(device: Device) -> None:
    async with running(device, cache_entries=10) as core:
        held = await hold_device(core, device)
        kinds: list[Priority] = ["interactive", "stream"]
        tasks = [asyncio.create_task(ask(core, 7, kinds[number % 2])) for number in range(60)]
        stream = asyncio.create_task(core.score_all([image(7)] * 40))
        await eventually(lambda: counted(core, "coalesced") == 99)
        device.gate.set()
        found = [*await asyncio.gather(*tasks), *await stream]
        await held
    assert device.batches == [[HELD], [7]]
    assert len(found) == 100
    assert all(not isinstance(one, Exception) and answers(one, 7) and not one.cached for one in found)


async def test_a_digest_that_the_caller_has_is_not_computed_again(device: Device) -> None:
    async with running(device, cache_entries=10) as core:
        (first,) = await core.score_all([image(1)], ["d" * 64])
        (again,) = await core.score_all([image(2)], ["d" * 64])
        (other,) = await core.score_all([image(2)], [None])
    assert isinstance(first, Prediction)
    assert isinstance(again, Prediction)
    assert isinstance(other, Prediction)
    assert first.image.sha256 == "d" * 64
    assert (again.cached, again.top) == (True, first.top)
    assert other.image.sha256 == hashlib.sha256(image(2)).hexdigest()


async def test_who_leaves_before_joining_takes_nobody_along(device: Device) -> None:
    """Its digest is known, and another one leads."""
    digest = hashlib.sha256(image(7)).hexdigest()
    async with running(device, max_batch=1, cache_entries=10) as core:
        held = await hold_device(core, device)
        leader = asyncio.create_task(core.score_all([image(7)], [digest]))
        await decoded(core, 1)
        fills = asyncio.create_task(core.score_all([image(number) for number in range(100, 110)]))
        await decoded(core, 2)
        left = asyncio.create_task(core.score_all([image(7)], [digest]))
        await eventually(lambda: any(work.digest == digest for work in core._line._encoded["stream"]))
        left.cancel()
        await asyncio.wait([left])
        request = asyncio.create_task(ask(core, 7))
        await eventually(lambda: counted(core, "coalesced") or core._line._decoded["interactive"])
        device.gate.set()
        await asyncio.gather(held, leader, fills, request)
    assert device.batches.count([7]) == 1


async def test_the_least_recently_used_answer_goes_first(device: Device) -> None:
    async with running(device, cache_entries=2) as core:
        for number in (1, 2, 1, 3, 1, 2):
            await ask(core, number)
    assert device.batches == [[1], [2], [3], [2]]


async def test_without_entries_nothing_is_kept_or_shared(device: Device) -> None:
    async with running(device, cache_entries=0) as core:
        await asyncio.gather(*(ask(core, 1) for _ in range(5)))
        await ask(core, 1)
    assert [number for batch in device.batches for number in batch] == [1] * 6


async def test_a_caller_that_leaves_takes_nobody_along(device: Device) -> None:
    async with running(device, cache_entries=10) as core:
        held = await hold_device(core, device)
        leader = asyncio.create_task(ask(core, 5))
        await decoded(core, 1, "interactive")
        follower = asyncio.create_task(ask(core, 5, "stream"))
        await eventually(lambda: counted(core, "coalesced") == 1)
        leader.cancel()
        await asyncio.wait([leader])
        device.gate.set()
        assert answers(await follower, 5)
        await held


async def test_who_comes_after_everybody_left_is_served_anew(device: Device) -> None:
    async with running(device, cache_entries=10) as core:
        held = await hold_device(core, device)
        leaver = asyncio.create_task(ask(core, 5))
        await decoded(core, 1, "interactive")
        leaver.cancel()
        await asyncio.wait([leaver])
        late = asyncio.create_task(ask(core, 5))
        await decoded(core, 1, "interactive")
        device.gate.set()
        assert answers(await late, 5)
        await held


async def test_a_request_that_joins_an_image_of_the_stream_takes_it_along_to_the_front(device: Device) -> None:
    async with running(device, cache_entries=100, max_batch=4) as core:
        held = await hold_device(core, device)
        stream = asyncio.create_task(core.score_all([image(number) for number in range(8)]))
        await decoded(core, 8)
        request = asyncio.create_task(ask(core, 7))
        await decoded(core, 1, "interactive")
        device.gate.set()
        assert answers(await request, 7)
        await asyncio.gather(held, stream)
    assert device.batches[1] == [7]
    assert sorted(number for batch in device.batches for number in batch) == [*range(8), HELD]


async def test_a_failure_is_told_to_all_who_wait_and_not_kept(device: Device) -> None:
    def act(batch: Tensor) -> None:
        if len(batch) == 1 and not (batch == 127).all():
            raise RuntimeError("not now")

    async with running(device, cache_entries=10) as core:
        held = await hold_device(core, device)
        tasks = [asyncio.create_task(ask(core, 9)) for _ in range(3)]
        await eventually(lambda: counted(core, "coalesced") == 2)
        device.act = act
        device.gate.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {EngineRejected}
        device.act = lambda _: None
        assert answers(await ask(core, 9), 9)
        await asyncio.wait([held])


async def test_bad_bytes_are_refused_each_time(device: Device) -> None:
    bad = image(1)[:40]
    async with running(device, cache_entries=10) as core:
        for _ in range(2):
            outcomes = await core.score_all([bad, image(2), bad])
            assert [isinstance(outcome, InvalidImage) for outcome in outcomes] == [True, False, True]
        refused = core._metrics.registry.get_sample_value("scorer_refused_total", {"reason": "InvalidImage"})
    assert refused == 4


async def test_an_answer_that_is_kept_has_all_its_classes_and_holds_no_batch(device: Device) -> None:
    async with running(device, cache_entries=10) as core:
        await core.score_all([image(number) for number in range(5)])
        (answer, *_) = core._results._cache._answers.values()
        assert len(answer.row) == 4 * 40
        assert torch.isclose(answer.probabilities.sum(), torch.tensor(1.0), atol=1e-5)
