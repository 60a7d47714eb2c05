"""What a member tells of itself beside its committed offsets."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import TopicPartition

from consumer.assignment import Assignment
from consumer.budget import Budget
from consumer.condition import Condition, Stage
from consumer.lanes import Lane
from consumer.waits import Waits
from errors import StoreUnavailable
from settings import LifeSettings
from telemetry import Metrics


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


class Member:
    """A member with one partition that has work in flight."""

    def __init__(self) -> None:
        metrics = Metrics()
        self.assignment = Assignment(metrics, self._drained)
        self.waits = Waits(metrics)
        self.budget = Budget(LifeSettings(), metrics)
        self.condition = Condition(self.assignment, self.waits, self.budget)
        self.lane = Lane(TopicPartition("images", 0), 5)
        self.lane.deliver(5, 1234)
        self.budget.take(1, 100)

    async def _drained(self) -> None:
        pass

    def told(self, *, leaving: bool = False) -> dict[str, Any]:
        text = self.condition.told(self.lane, leaving=leaving)
        assert len(text) < 4096
        found: dict[str, Any] = json.loads(text)
        return found


def test_what_most_of_the_time_goes_to_is_named_also_while_it_goes_on(clock: Clock) -> None:
    stage = Stage()
    for _ in range(10):
        stage.on("engine")
        clock.now += 0.9
        stage.on("store")
        clock.now += 0.1
    assert stage.worst() == "engine"
    stage.on("store")
    clock.now += 20
    assert stage.worst() == "store"


def test_a_later_loop_that_waits_for_records_leaves_the_word_to_the_one_before_it(clock: Clock) -> None:
    member = Member()
    member.condition.preparing.on("source")
    clock.now += 5
    assert member.told()["bound"] == "source"
    member.condition.settling.on("engine")
    clock.now += 60
    assert member.told()["bound"] == "engine"


def test_between_two_batches_it_is_bound_by_what_it_was_and_once_nothing_comes_any_more_by_nothing(
    clock: Clock,
) -> None:
    member = Member()
    member.condition.settling.on("engine")
    clock.now += 60
    member.budget.give(1, 100)
    member.condition.settling.on("kafka")
    clock.now += 0.5
    assert member.told()["bound"] == "engine"
    clock.now += 60
    assert member.told()["bound"] is None


def test_the_share_of_dead_letters_and_their_commonest_reason_are_those_of_the_last_minute(clock: Clock) -> None:
    member = Member()
    assert (member.told()["dead"], member.told()["top_reason"]) == (None, None)
    member.condition.decided(100, ["InvalidImage"] * 40 + ["InvalidEvent"] * 10)
    assert (member.told()["dead"], member.told()["top_reason"]) == (0.5, "InvalidImage")
    clock.now += 300
    member.condition.decided(100, [])
    assert member.told()["dead"] < 0.01
    clock.now += 600
    assert (member.told()["dead"], member.told()["top_reason"]) == (None, None)


async def test_assignments_of_the_last_five_minutes_are_counted(clock: Clock) -> None:
    member = Member()
    for _ in range(3):
        await member.assignment.on_partitions_assigned([])
        clock.now += 60
    assert member.told()["joins"] == 3
    clock.now += 200
    assert member.told()["joins"] == 1


async def test_a_wait_began_when_it_was_first_tried_and_not_when_that_was_given_up() -> None:
    member, tried = Member(), []

    async def attempt() -> None:
        tried.append(datetime.now(UTC))
        if len(tried) == 1:
            await asyncio.sleep(0.5)
            raise StoreUnavailable("does not answer")
        wait = member.waits.current
        assert wait is not None
        assert wait.since - tried[0] < timedelta(seconds=0.4)

    await member.waits.until_works("store", attempt)
    assert len(tried) == 2


def test_a_partition_that_begins_to_wait_by_itself_is_news() -> None:
    member, news = Member(), []
    member.waits.changed = lambda: news.append(1)
    member.waits.apart("source", 1)
    member.waits.apart("source", 0)
    assert len(news) == 2


def test_a_wait_is_told_with_its_part_and_since_and_a_farewell_leaves_the_partition_in_peace() -> None:
    member = Member()
    member.waits.begin("store", "connection refused " * 100)
    told = member.told()
    assert told["state"] == "waiting"
    assert told["why"].startswith("store: connection refused")
    assert told["since"] == member.waits.current.since.isoformat()  # type: ignore[union-attr]
    assert (told["oldest_ts"], told["open"]) == (1234, True)
    assert member.told(leaving=True)["open"] is False
