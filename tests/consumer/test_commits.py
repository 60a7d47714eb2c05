"""When offsets are committed, and how a start waits."""

import asyncio
import time
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from broker.topics import inspect
from consumer import commits
from consumer.commits import Commits
from consumer.hops import Parts
from consumer.membership import unless
from consumer.waits import Waits
from consumer.worker import Worker
from errors import DependencyAway
from settings import Settings
from telemetry import Metrics
from tests.consumer.conftest import open_parts


class Busy(Commits):
    """Something is decided during each commit."""

    def __init__(self) -> None:
        nothing: Any = None
        self.waits = Waits(Metrics())
        super().__init__(nothing, nothing, self.waits, nothing, nothing)
        self.whole = asyncio.Event()

    async def commit(self, *, everything: bool = False, leaving: bool = False) -> bool:
        self.soon()
        await asyncio.sleep(0)
        if everything:
            self.whole.set()
        return True


async def test_partitions_that_wait_tell_their_state_however_busy_the_others_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commits, "STATE_EVERY_S", 0.1)
    busy = Busy()
    committing = asyncio.create_task(busy.keep_committing())
    try:
        for _ in range(3):
            await asyncio.wait_for(busy.whole.wait(), timeout=5)
            busy.whole.clear()
    finally:
        committing.cancel()


async def test_what_a_consumer_waits_for_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "STATE_EVERY_S", 600.0)
    monkeypatch.setattr(commits, "NEWS_EVERY_S", 0.1)
    busy = Busy()
    committing = asyncio.create_task(busy.keep_committing())
    try:
        await asyncio.wait_for(busy.whole.wait(), timeout=5)
        for change in (partial(busy.waits.begin, "store", "refused"), partial(busy.waits.end, "store")):
            busy.whole.clear()
            change()
            await asyncio.wait_for(busy.whole.wait(), timeout=5)
    finally:
        committing.cancel()


async def starting(settings: Settings, parts: Parts) -> Worker:
    cluster = await inspect(settings, [settings.kafka_topic])
    away = settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    return Worker(away, parts, cluster)


async def test_a_start_waits_for_kafka_until_its_deadline(settings: Settings) -> None:
    async with open_parts(settings) as parts:
        worker = await starting(settings.model_copy(update={"start_timeout_s": 2.0}), parts)
        began = time.monotonic()
        with pytest.raises(DependencyAway, match=r"127\.0\.0\.1:1"):
            await worker.run()
        assert time.monotonic() - began > 1.9


async def test_a_stop_ends_a_start_that_forgets_a_cancellation() -> None:
    begun, stopping = asyncio.Event(), asyncio.Event()

    async def forgetful() -> None:
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    starting = asyncio.create_task(unless(stopping, forgetful()))
    await begun.wait()
    stopping.set()
    assert await asyncio.wait_for(starting, timeout=10) is False


async def test_a_stop_ends_a_start_that_waits(settings: Settings) -> None:
    async with open_parts(settings) as parts:
        worker = await starting(settings.model_copy(update={"start_timeout_s": 300.0}), parts)
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(0)
        worker.stop()
        assert await asyncio.wait_for(running, timeout=10) is True
