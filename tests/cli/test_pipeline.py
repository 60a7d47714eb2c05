"""Bounded, in order, and nothing left behind."""

import asyncio
from contextlib import aclosing

import pytest

from cli.patience import patiently
from cli.pipeline import in_order
from errors import BrokerUnavailable, DependencyAway


async def test_results_come_in_order_whatever_finishes_first() -> None:
    async def work(number: int) -> int:
        for _ in range(20 - number):
            await asyncio.sleep(0)
        return number

    assert [result async for result in in_order(range(20), work, 7)] == list(range(20))


async def test_no_more_is_in_flight_than_asked_for() -> None:
    flying = most = 0

    async def work(number: int) -> int:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0.001)
        flying -= 1
        return number

    assert len([result async for result in in_order(range(50), work, 4)]) == 50
    assert 1 < most <= 4


async def test_items_are_not_drawn_ahead_of_the_limit() -> None:
    drawn = 0

    def items() -> object:
        nonlocal drawn
        while True:
            drawn += 1
            yield drawn

    async def work(number: int) -> int:
        return number

    async with aclosing(in_order(items(), work, 3)) as results:  # type: ignore[arg-type]  # endless on purpose
        assert await anext(results) == 1
    assert drawn <= 3


async def test_a_failure_ends_it_and_cancels_what_flies() -> None:
    cancelled = []

    async def work(number: int) -> int:
        if number == 0:
            raise BrokerUnavailable("away")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return number

    with pytest.raises(BrokerUnavailable):
        async for _ in in_order(range(9), work, 3):
            pass
    assert cancelled in ([], [1], [1, 2])
    assert len(asyncio.all_tasks()) == 1


async def test_no_more_is_started_in_a_second_than_asked_for() -> None:
    async def work(number: int) -> int:
        return number

    clock = asyncio.get_running_loop().time
    begun = clock()
    assert [result async for result in in_order(range(6), work, 8, per_second=50)] == list(range(6))
    assert clock() - begun >= 5 / 50


async def test_patience_ends_at_the_deadline_and_says_which() -> None:
    attempts = 0

    async def attempt() -> None:
        nonlocal attempts
        attempts += 1
        raise BrokerUnavailable("Kafka is away")

    with pytest.raises(DependencyAway, match=r"Kafka is away; gave up after SCORER_START_TIMEOUT_S=0\.5"):
        await patiently(attempt, 0.5)
    assert attempts > 1


async def test_patience_is_rewarded() -> None:
    answers = iter([BrokerUnavailable("away"), None])

    async def attempt() -> str:
        if (trouble := next(answers)) is not None:
            raise trouble
        return "there"

    assert await patiently(attempt, 5) == "there"
