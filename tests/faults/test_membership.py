"""What keeps a member in its group: heartbeats while it works, polls while it waits, an orderly hand-over."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import psycopg
import pytest
from aiokafka.errors import CommitFailedError, KafkaError
from torch import Tensor

from broker import clients
from consumer import commits, poll
from settings import Settings
from tests.consumer.conftest import Running, running
from tests.consumer.test_worker import cloud_event, drained, servers, url
from tests.faults.conftest import Engines
from tests.inference.pictures import encode, photo
from tests.kafka_tools import publish, rows
from tests.waiting import eventually

IMAGE = encode(photo(), "JPEG")
SESSION_S = 2.0
RECORDS = 12


class Gate:
    """Holds the engines' batches until it is opened."""

    def __init__(self, engines: Engines) -> None:
        self._open = threading.Event()
        self.reached = threading.Event()
        engines.before = self._hold

    def _hold(self, batch: Tensor) -> None:
        if batch.min() == batch.max():
            return  # a worker that starts warms its engine up with a plain picture
        self.reached.set()
        assert self._open.wait(60), "nobody opened the gate"

    def open(self) -> None:
        self._open.set()


async def feed(settings: Settings, count: int = RECORDS) -> None:
    records = [(IMAGE, cloud_event(f"{number}")) for number in range(count)]
    await publish(servers(settings), settings.kafka_topic, records)


async def check(settings: Settings, *members: Running, count: int = RECORDS) -> None:
    """All are scored, and none of them twice: nobody lost what it worked on."""
    await eventually(partial(drained, settings))
    images = sum(member.count("scorer_inference_images_total", origin="kafka", engine="fake") for member in members)
    assert images == count
    assert await rows(url(settings), "select count(*) from scores") == [(count,)]


@pytest.fixture
def brief(settings: Settings) -> Settings:
    return settings.model_copy(update={"kafka_session_timeout_s": SESSION_S})


@asynccontextmanager
async def in_mid_batch(settings: Settings, engines: Engines) -> AsyncIterator[tuple[Running, Gate]]:
    """A member whose batch lasts until the gate is opened; at the end it drains."""
    async with running(settings) as member:
        await eventually(partial(drained, settings))
        gate = Gate(engines)
        await feed(settings)
        await asyncio.to_thread(gate.reached.wait, 30)
        yield member, gate


async def test_a_batch_that_takes_longer_than_the_session_costs_no_membership(
    brief: Settings, engines: Engines
) -> None:
    async with in_mid_batch(brief, engines) as (scorer, gate):
        await asyncio.sleep(1.5 * SESSION_S)
        gate.open()
        await check(brief, scorer)
        assert scorer.count("scorer_rebalances_total") == 1


async def test_a_member_that_joins_waits_for_the_batch_in_flight_and_nothing_is_scored_twice(
    brief: Settings, engines: Engines
) -> None:
    async with in_mid_batch(brief, engines) as (first, gate), running(brief) as second:
        await eventually(lambda: first.worker._assignment.leaving, "the first one is asked to hand over")
        await asyncio.sleep(1.5 * SESSION_S)
        assert not second.worker._assignment.lanes
        gate.open()
        await eventually(lambda: bool(first.worker._assignment.lanes and second.worker._assignment.lanes))
        await check(brief, first, second)


async def test_a_member_that_is_stopped_in_the_middle_of_a_rebalance_ends_soon(
    brief: Settings, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_STOP_S", 1.0)
    async with in_mid_batch(brief, engines) as (first, gate):
        async with running(brief) as second:
            await eventually(lambda: first.worker._assignment.leaving, "the rebalance has begun")
            began = time.monotonic()
        assert time.monotonic() - began < 15
        # Kafka's client does not end in the middle of a rebalance: it is left to the end of the process.
        await second.worker._consumer._client.close()
        gate.open()
        await check(brief, first, second)


async def test_a_store_that_is_away_for_longer_than_the_poll_interval_costs_no_membership(
    settings: Settings, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    interval_s, count = 2.0, 100
    monkeypatch.setattr(clients, "MAX_POLL_INTERVAL_S", interval_s)
    monkeypatch.setattr(poll, "MAX_POLL_INTERVAL_S", interval_s)
    async with running(settings) as scorer:
        await eventually(partial(drained, settings))
        async with await psycopg.AsyncConnection.connect(url(settings)) as connection:
            await connection.execute("lock table scores in access exclusive mode")
            await feed(settings, count)
            await eventually(lambda: scorer.worker._budget.room() == 0, "it takes no more")
            await asyncio.sleep(2 * interval_s)
        await check(settings, scorer, count=count)
        assert scorer.count("scorer_rebalances_total") == 1


async def test_a_commit_that_is_refused_costs_nothing(
    settings: Settings, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "STATE_EVERY_S", 0.3)
    async with running(settings) as scorer:
        await eventually(partial(drained, settings))
        consumer: Any = scorer.worker._consumer
        commit, left = consumer.commit, [CommitFailedError("not yours any more"), KafkaError("anything else")]

        async def refused(offsets: Any) -> None:
            if left:
                raise left.pop(0)
            await commit(offsets)

        monkeypatch.setattr(consumer, "commit", refused)
        await feed(settings)
        await check(settings, scorer)
        assert scorer.count("scorer_commit_failures_total") == 2
        assert scorer.count("scorer_records_total", outcome="redelivered") == 0
