"""Backpressure: what may be in flight."""

import asyncio

import pytest

from consumer.budget import Budget, Rate
from settings import LifeSettings
from telemetry import Metrics

MIB = 1024 * 1024


def budget(memory_budget_mb: int = 2048) -> Budget:
    return Budget(LifeSettings(memory_budget_mb=memory_budget_mb), Metrics())


def test_a_poll_takes_half_of_the_limit_and_leaves_the_other_half_for_the_next_one() -> None:
    """What took all of it left the device without work each time, until it was written."""
    held = budget()
    assert held.room() == 32
    held.take(32, 0)
    assert held.room() == 32
    held.take(8, 0)
    assert held.room() == 24


def test_room_opens_again_only_when_a_quarter_is_free() -> None:
    held = budget()
    held.take(49, 0)
    assert held.room() == 0
    held.give(1, 0)
    assert held.room() == 16


def test_a_limit_that_sinks_a_little_meanwhile_lets_the_next_batch_in(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("consumer.budget.time.monotonic", lambda: now)
    held = budget()
    held.rate.add(800)
    held.take(held.room(), 0)
    assert held.records == 80
    now += 0.5
    assert held.limit_records == 152
    assert held.room() == 72


def test_bytes_close_the_door_whatever_the_number_of_records() -> None:
    held = budget(2048)
    held.take(1, 128 * MIB)
    assert held.room() == 0
    held.give(0, 1)
    assert held.room() == 32


def test_the_limit_follows_the_rate_within_its_bounds() -> None:
    held = budget()
    held.rate.add(10_000)
    assert held.limit_records == 1024
    assert Rate().per_s() == 0


def test_many_records_are_in_flight_only_where_scoring_has_shown_to_be_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("consumer.budget.time.monotonic", lambda: now)
    held = budget(4096)
    for _ in range(50):  # duplicates alone, however many
        held.take(1000, 0)
        now += 0.1
        held.decided(1000, 0, scored=0)
    assert held.limit_records == 1024
    for _ in range(50):
        held.take(1000, 0)
        now += 0.1
        held.decided(1000, 0, scored=1000)
        now += 60  # nothing was there to be done: that says nothing about how quick it goes
    assert held.limit_records == 8192
    assert held.room() == 2048
    held.take(8192 - 2047, 0)
    assert held.room() == 0
    held.cautious = True
    assert held.limit_records == 64


def test_slow_scoring_has_few_records_in_flight_whatever_else_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("consumer.budget.time.monotonic", lambda: now)
    held = budget(4096)
    for _ in range(20):
        held.take(64, 0)
        now += 2.0
        held.decided(64, 0, scored=64)
    assert held.limit_records < 80


async def test_a_waiter_wakes_when_something_is_given_back() -> None:
    held = budget()
    held.take(2, 10)
    empty = asyncio.create_task(held.empty())
    await asyncio.sleep(0)
    held.give(2, 10)
    await asyncio.wait_for(empty, timeout=0.5)
