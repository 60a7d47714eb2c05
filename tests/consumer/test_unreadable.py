"""Records that the client cannot hand over cost nothing but themselves; other failures of a poll cost no record."""

import asyncio
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c

from broker.clients import build_consumer
from consumer import unreadable
from consumer.lanes import Lane
from consumer.unreadable import find_unreadable
from errors import UsageError
from settings import Settings
from tests.checkpoints import sample_images
from tests.consumer.conftest import Running, running
from tests.consumer.test_worker import cloud_event, drained, servers, url
from tests.kafka_tools import publish, rows
from tests.waiting import eventually

NAME = "not-utf-8"


async def publish_unreadable(settings: Settings, partition: int) -> None:
    """One record whose header's name is no UTF-8: the broker takes it, the client cannot read it."""
    async with AIOKafkaProducer(bootstrap_servers=servers(settings)) as producer:
        batch: BatchBuilder = producer.create_batch()
        batch.append(timestamp=None, key=None, value=b"v", headers=[(NAME, b"")])
        built = bytearray(batch._build())
        at = built.index(NAME.encode())
        built[at : at + len(NAME)] = b"\xff" * len(NAME)
        crc = _DefaultRecordBatchBuilderPy.CRC_OFFSET
        covered = _DefaultRecordBatchBuilderPy.ATTRIBUTES_OFFSET
        built[crc:covered] = calc_crc32c(bytes(built[covered:])).to_bytes(4, "big")
        batch._buffer = built
        await (await producer.send_batch(batch, settings.kafka_topic, partition=partition))


async def waiting_to_be_read(scorer: Running, partition: int) -> bool:
    """The client has fetched something for this partition."""
    tp = TopicPartition(scorer.settings.kafka_topic, partition)
    fetcher: Any = scorer.worker._consumer._fetcher
    return tp in fetcher._records


async def test_an_unreadable_record_is_a_dead_letter_and_its_neighbours_are_scored(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = next(iter(sample_images().values()))
    async with running(settings) as scorer:
        await eventually(partial(drained, settings))
        commits = scorer.worker._commits
        consumer: Any = scorer.worker._consumer
        getmany, end_offsets = consumer.getmany, consumer.end_offsets
        asked, gate = asyncio.Event(), asyncio.Event()

        async def poll(*wanted: TopicPartition, **options: Any) -> Any:
            asked.set()
            await gate.wait()
            return await getmany(*wanted, **options)

        async def commit_first(partitions: list[TopicPartition]) -> Any:
            await commits.commit(everything=True)
            return await end_offsets(partitions)

        monkeypatch.setattr(consumer, "getmany", poll)
        monkeypatch.setattr(consumer, "end_offsets", commit_first)
        await asked.wait()
        # In this order one poll drains the good partition, and then fails at the bad one.
        good = [(image, cloud_event(f"good-{number}")) for number in range(3)]
        await publish(servers(settings), settings.kafka_topic, good, partition=0)
        await eventually(partial(waiting_to_be_read, scorer, 0))
        await publish_unreadable(settings, partition=1)
        await publish(servers(settings), settings.kafka_topic, [(image, cloud_event("behind"))], partition=1)
        await eventually(partial(waiting_to_be_read, scorer, 1))
        gate.set()
        await eventually(partial(drained, settings))
    found = await rows(url(settings), "select event_id from scores order by event_id")
    assert [row[0] for row in found] == ["behind", "good-0", "good-1", "good-2"]
    letters = await rows(url(settings), 'select partition, "offset", reason from dead_letters')
    assert letters == [(1, 0, "UnreadableRecord")]


async def test_a_rebalance_in_the_middle_of_the_search_makes_no_record_unreadable(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unreadable, "_ONE_RECORD_S", 0.2)
    await publish(servers(settings), settings.kafka_topic, [(b"v", [])], partition=0)
    tp = TopicPartition(settings.kafka_topic, 0)
    consumer = build_consumer(settings, partition_fetch_bytes=2**20)
    await consumer.start()
    try:
        consumer.subscribe([settings.kafka_topic])
        await eventually(lambda: asyncio.sleep(0, tp in consumer.assignment()))
        consumer._subscription.begin_reassignment()
        with pytest.raises(TimeoutError):
            await find_unreadable(consumer, [Lane(tp, 0)], lambda polled: None, 1)
    finally:
        await consumer.stop()


async def test_a_failure_of_the_group_makes_no_record_unreadable(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = next(iter(sample_images().values()))
    async with running(settings) as scorer:
        await eventually(partial(drained, settings))
        consumer = scorer.worker._consumer
        getmany, asked = consumer.getmany, asyncio.Semaphore(0)
        failing = True

        async def poll(*wanted: TopicPartition, **options: Any) -> Any:
            if failing:
                asked.release()
                raise KafkaError("Unexpected exception in heartbeat task")
            return await getmany(*wanted, **options)

        monkeypatch.setattr(consumer, "getmany", poll)
        await asked.acquire()
        await publish(servers(settings), settings.kafka_topic, [(image, cloud_event(f"{n}")) for n in range(6)])
        for _ in range(3):
            await asked.acquire()
        failing = False
        await eventually(partial(drained, settings))
    assert await rows(url(settings), "select reason from dead_letters") == []
    assert len(await rows(url(settings), "select 1 from scores")) == 6


async def test_a_group_that_is_forbidden_is_one_clear_line_also_before_anything_is_assigned(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(UsageError, match="join SCORER_KAFKA_GROUP_ID"), flatten_subgroups=True):
        async with running(settings) as scorer:
            consumer = scorer.worker._consumer

            async def forbidden(*_wanted: TopicPartition, **_options: Any) -> Any:
                raise GroupAuthorizationFailedError(settings.kafka_group_id)

            monkeypatch.setattr(consumer, "getmany", forbidden)
            await asyncio.Event().wait()
