"""Backpressure: what may be in flight."""

import asyncio

from consumer.budget import Budget, Rate
from settings import LifeSettings
from telemetry import Metrics

MIB = 1024 * 1024


def budget(memory_budget_mb: int = 2048) -> Budget:
    return Budget(LifeSettings(memory_budget_mb=memory_budget_mb), Metrics())


def test_room_opens_again_only_when_half_is_free() -> None:
    held = budget()
    assert held.room() == 64
    held.take(33, 0)
    assert held.room() == 0
    held.give(1, 0)
    assert held.room() == 32


def test_bytes_close_the_door_whatever_the_number_of_records() -> None:
    held = budget(2048)
    held.take(1, 128 * MIB)
    assert held.room() == 0
    held.give(0, 1)
    assert held.room() == 63


def test_the_limit_follows_the_rate_within_its_bounds() -> None:
    held = budget()
    held.rate.add(10_000)
    assert held.limit_records == 1024
    assert Rate().per_s() == 0


async def test_a_waiter_wakes_when_something_is_given_back() -> None:
    held = budget()
    held.take(2, 10)
    empty = asyncio.create_task(held.empty())
    await asyncio.sleep(0)
    held.give(2, 10)
    await asyncio.wait_for(empty, timeout=0.5)
