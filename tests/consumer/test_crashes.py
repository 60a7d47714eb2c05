"""One record that ends the process is found and dead-lettered; innocent ends blame nobody."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from broker.topics import inspect
from consumer.crashes import Crashes
from consumer.hops import Parts
from consumer.lanes import Lane
from consumer.worker import Worker
from inference.core import InferenceCore
from settings import Settings
from tests.checkpoints import sample_images
from tests.consumer.conftest import open_parts, running
from tests.consumer.test_worker import cloud_event, drained, servers, url
from tests.kafka_tools import committed_offsets, publish, rows
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("cheap_core")


def left(**fields: object) -> str:
    return json.dumps({"state": "running", "open": True, "ends": 0, "tried": False, "until": 0} | fields)


END = 1000


@pytest.mark.parametrize("metadata", ["", "null", "7", "[]", "{}", "not json", '{"open": true, "ends": "x"}'])
def test_foreign_metadata_says_nothing(metadata: str) -> None:
    assert Crashes.read(5, metadata, END) == Crashes(5)


def test_who_left_in_peace_crashed_nothing() -> None:
    assert not Crashes.read(5, left(open=False, ends=2, tried=True, until=9), END).cautious


def ended_again(crashes: Crashes, end: int) -> Crashes:
    """The next owner's, after one that tried the record at the same offset."""
    return Crashes.read(5, left(ends=crashes.ends, until=crashes.until, tried=True), end)


def test_one_end_makes_cautious_two_make_careful_two_more_convict() -> None:
    first = Crashes.read(5, left(), END)
    assert (first.cautious, first.careful, first.guilty) == (True, False, False)
    second = ended_again(first, END)
    assert (second.careful, second.guilty, second.until) == (True, False, 5 + 64)
    third = ended_again(second, END)
    assert (third.careful, third.guilty, third.until) == (True, False, 69)
    fourth = ended_again(third, END)
    assert (fourth.guilty, fourth.until) == (True, 69)


def test_a_suspect_without_company_is_convicted_by_a_third_end() -> None:
    second = ended_again(Crashes.read(5, left(), 6), 6)
    assert (second.careful, second.guilty) == (True, False)
    assert ended_again(second, 6).guilty


def test_a_later_suspect_is_convicted_only_when_it_was_tried_alone_twice() -> None:
    crashes = Crashes(5, ends=2, tried=True, until=69)
    crashes.move_to(6)
    assert (crashes.careful, crashes.tried) == (True, False)
    once = Crashes.read(6, left(ends=crashes.ends, tried=True, until=69), END)
    assert (once.careful, once.guilty) == (True, False)
    assert Crashes.read(6, left(ends=once.ends, tried=True, until=69), END).guilty


def test_nobody_crashed_behind_the_end_of_the_log() -> None:
    assert Crashes.read(5, left(ends=2, tried=True, until=69), 5) == Crashes(5)
    assert Crashes.read(5, left(ends=1, tried=True), 8).until == 8


def test_an_end_before_the_record_was_tried_does_not_count() -> None:
    assert Crashes.read(5, left(ends=1, tried=False), END).ends == 1
    assert not Crashes.read(5, left(ends=2, tried=False, until=69), END).guilty


def test_an_end_while_the_store_was_away_blames_no_record() -> None:
    crashes = Crashes(5, ends=2, tried=True, until=69)
    assert crashes.told(open_=True, waiting=True)["tried"] is False


def test_progress_clears_what_lies_behind_the_suspects() -> None:
    crashes = Crashes(5, ends=3, tried=True, until=7)
    crashes.move_to(6)
    assert (crashes.careful, crashes.guilty, crashes.tried) == (True, False, False)
    crashes.move_to(7)
    crashes.move_to(8)
    assert not crashes.cautious


def test_control_records_before_the_suspect_are_no_progress() -> None:
    lane = Lane(TopicPartition("image-events", 0), 5, Crashes(5, ends=1))
    lane.deliver(7, timestamp_ms=0)
    lane.crashes.move_to(lane.committable)
    assert (lane.crashes.offset, lane.crashes.ends) == (7, 1)


class Deadly:
    """A core in which one picture, and only that, ends the process."""

    def __init__(self, core: Any, poison: bytes) -> None:
        self._core = core
        self._poison = poison
        self.info = core.info

    async def score_all(self, images: Sequence[bytes], digests: Any = None) -> Any:
        await asyncio.sleep(0)
        if self._poison in images:
            raise RuntimeError("the process is gone")
        return await self._core.score_all(images, digests)


async def one_life(settings: Settings, parts: Parts) -> bool:
    """A process from its start to its end; True when it crashed rather than drained."""
    worker = Worker(settings, parts, await inspect(settings, [settings.kafka_topic, settings.kafka_dlq_topic]))
    crashed = False

    async def over() -> bool:
        return crashed or await drained(settings)

    async def stop_when_done() -> None:
        await eventually(over)
        worker.stop()

    stopping = asyncio.create_task(stop_when_done())
    try:
        await worker.run()
    except* RuntimeError:
        crashed = True
    # Not cancelled: a client that is only half open would not be closed.
    await stopping
    return crashed


@pytest.mark.parametrize(("place", "ends"), [pytest.param(0, 4, marks=pytest.mark.soak), (20, 4)])
async def test_the_record_that_ends_the_process_over_and_over_is_dead_lettered_alone(
    settings: Settings, place: int, ends: int
) -> None:
    settings = settings.model_copy(update={"kafka_session_timeout_s": 3.0})
    images = list(sample_images().values())
    records = [(images[n % 4], cloud_event(f"{n}")) for n in range(30)]
    records[place] = (images[5], cloud_event("deadly"))
    await publish(servers(settings), settings.kafka_topic, records, partition=1)
    await publish(servers(settings), settings.kafka_topic, [(images[6], cloud_event("other"))], partition=2)
    async with open_parts(settings) as parts:
        deadly = Deadly(parts.core, images[5])
        lives = 0
        while await one_life(settings, replace(parts, core=cast(InferenceCore, deadly))):
            lives += 1
            assert lives <= ends
    assert lives == ends
    letters = await rows(url(settings), 'select reason, "offset" from dead_letters')
    assert letters == [("ProcessCrashed", place)]
    scored = await rows(url(settings), "select event_id from scores where event_id <> 'other'")
    assert len(scored) == 29


async def test_ends_with_progress_between_them_blame_nobody(settings: Settings) -> None:
    image = next(iter(sample_images().values()))
    settings = settings.model_copy(update={"kafka_session_timeout_s": 3.0})
    async with open_parts(settings) as parts:
        cluster = await inspect(settings, [settings.kafka_topic, settings.kafka_dlq_topic])
        for life in range(4):
            worker = Worker(settings, parts, cluster)
            task = asyncio.create_task(worker.run())
            await publish(servers(settings), settings.kafka_topic, [(image, cloud_event(f"{life}"))], partition=0)
            await eventually(partial(drained, settings))
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    assert await rows(url(settings), "select 1 from dead_letters") == []


async def test_a_drained_worker_says_farewell(settings: Settings) -> None:
    image = next(iter(sample_images().values()))
    await publish(servers(settings), settings.kafka_topic, [(image, cloud_event("a"))], partition=0)
    async with running(settings):
        await eventually(partial(drained, settings))
        found = await committed_offsets(servers(settings), settings.kafka_group_id)
        assert all(json.loads(metadata)["open"] for _, metadata in found.values())
    found = await committed_offsets(servers(settings), settings.kafka_group_id)
    assert not any(json.loads(metadata)["open"] for _, metadata in found.values())
