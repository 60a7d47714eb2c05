"""No progress, though there is work and nothing is known that we wait for, ends the process."""

import asyncio
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest
from aiokafka.errors import CommitFailedError
from torch import Tensor

from broker.topics import inspect
from consumer.hops import Core
from consumer.watchdog import Stalled
from consumer.worker import Worker
from settings import Settings
from tests.checkpoints import sample_images
from tests.consumer.conftest import open_parts, running
from tests.consumer.test_trouble import Gate, by_uri, gate  # noqa: F401  (a fixture)
from tests.consumer.test_worker import cloud_event, drained, servers
from tests.fake_core import open_fake_core
from tests.kafka_tools import publish
from tests.system.processes import ROOT
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("cheap_core")
IMAGE = next(iter(sample_images().values()))


class Hanging:
    """A core whose callers wait for ever."""

    def __init__(self, core: Core) -> None:
        self.info = core.info

    async def score_all(self, *_: Any) -> None:
        await asyncio.Event().wait()


async def test_records_in_flight_that_nobody_decides_end_the_process(settings: Settings) -> None:
    settings = settings.model_copy(update={"stall_timeout_s": 5.0})
    await publish(servers(settings), settings.kafka_topic, [(IMAGE, cloud_event("a"))])
    async with open_parts(settings) as parts:
        stuck = replace(parts, core=cast(Core, Hanging(parts.core)))
        cluster = await inspect(settings, [settings.kafka_topic, settings.kafka_dlq_topic])
        with pytest.raises(BaseExceptionGroup) as caught:
            await asyncio.wait_for(Worker(settings, stuck, cluster).run(), 60)
        assert caught.group_contains(Stalled, match="1 records are in flight")


async def test_a_log_that_is_not_polled_ends_the_process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings.model_copy(update={"stall_timeout_s": 2.0})
    async with open_parts(settings) as parts:
        cluster = await inspect(settings, [settings.kafka_topic, settings.kafka_dlq_topic])
        worker = Worker(settings, parts, cluster)

        async def nothing(*_: Any, **__: Any) -> dict[Any, Any]:
            await asyncio.sleep(0.1)
            return {}

        # As when the client's own fetching task has died: it tells nobody.
        monkeypatch.setattr(worker._consumer, "getmany", nothing)
        task = asyncio.create_task(worker.run())
        await publish(servers(settings), settings.kafka_topic, [(IMAGE, cloud_event("a"))])
        with pytest.raises(BaseExceptionGroup) as caught:
            await asyncio.wait_for(task, 60)
        assert caught.group_contains(Stalled, match="nothing is polled")


async def test_idleness_and_known_waits_are_no_stall(settings: Settings, gate: Gate) -> None:  # noqa: F811
    settings = settings.model_copy(update={"stall_timeout_s": 2.5, "uri_http_hosts": (gate.host,)})
    async with running(settings) as scorer:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 4)  # idle
        await publish(servers(settings), settings.kafka_topic, [by_uri(gate, "slow")])
        await eventually(lambda: scorer.count("scorer_paused", reason="source") == 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 4)  # held
        gate.open.set()
        await eventually(partial(drained, settings))
        assert scorer.count("scorer_paused", reason="source") == 0


async def test_a_process_that_was_frozen_begins_its_time_anew(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock jumps by an hour while a batch is in flight: the batch gets its whole time once more."""
    jump_s, real = 0.0, time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + jump_s)
    go_on = threading.Event()

    def wait(_batch: Tensor) -> None:
        go_on.wait(30)

    settings = settings.model_copy(update={"stall_timeout_s": 60.0})
    async with open_parts(settings) as parts:
        blocking = False

        def before(batch: Tensor) -> None:
            if blocking:
                wait(batch)

        async with open_fake_core(settings, parts.metrics, before) as core:
            blocking = True
            cluster = await inspect(settings, [settings.kafka_topic, settings.kafka_dlq_topic])
            worker = Worker(settings, replace(parts, core=core), cluster)
            task = asyncio.create_task(worker.run())
            await publish(servers(settings), settings.kafka_topic, [(IMAGE, cloud_event("a"))])
            await eventually(lambda: bool(parts.metrics.registry.get_sample_value("scorer_inflight_records")))
            jump_s = 3600.0
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(task), 3)
            go_on.set()
            await eventually(partial(drained, settings))
            worker.stop()
            assert await task is True


FROZEN_LOOP = """
import asyncio, time
from consumer import watchdog

class Commits:
    refused_since = None

class Waits:
    current = None

async def main():
    dog = watchdog.Watchdog(2.0, None, None, Commits(), None)
    watching = asyncio.create_task(dog.watch(Waits()))
    await asyncio.sleep(1)
    time.sleep(60)

asyncio.run(main())
"""


def test_an_event_loop_that_stands_still_ends_the_process_with_its_stacks() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FROZEN_LOOP], cwd=ROOT, capture_output=True, text=True, timeout=40, check=False
    )
    assert ended.returncode == 1
    assert "the event loop stands still" in ended.stderr + ended.stdout
    assert "time.sleep(60)" in ended.stderr or "in main" in ended.stderr


async def test_a_membership_that_was_lost_unnoticed_ends_the_process_although_it_goes_on_deciding(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any, **__: Any) -> None:
        raise CommitFailedError

    settings = settings.model_copy(update={"stall_timeout_s": 2.0})
    async with open_parts(settings) as parts:
        cluster = await inspect(settings, [settings.kafka_topic, settings.kafka_dlq_topic])
        worker = Worker(settings, parts, cluster)
        monkeypatch.setattr(worker._consumer, "commit", refused)
        task = asyncio.create_task(worker.run())
        number = 0
        while not task.done():
            number += 1
            await publish(servers(settings), settings.kafka_topic, [(IMAGE, cloud_event(f"{number}"))])
        with pytest.raises(BaseExceptionGroup) as caught:
            await task
        assert caught.group_contains(Stalled, match="commits are refused")
