"""The watcher of a real group: what it knows, what it exports, and that it never takes silence for good news."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from broker.topics import create_topics
from errors import BrokerUnavailable, CommandFailed
from monitor.export import LagCollector
from monitor.watcher import Watcher
from settings import MonitorSettings
from tests.kafka_tools import publish
from tests.monitor.histories import said
from tests.waiting import eventually


@pytest.fixture
def settings(kafka: str) -> MonitorSettings:
    name = f"w-{uuid.uuid4().hex[:12]}"
    return MonitorSettings(kafka_bootstrap_servers=kafka, kafka_topic=name, kafka_group_id=name, lag_interval_s=0.5)


@asynccontextmanager
async def watching(settings: MonitorSettings) -> AsyncIterator[Watcher]:
    watcher = Watcher(settings)
    running = asyncio.create_task(watcher.run())
    try:
        yield watcher
    finally:
        running.cancel()
        await asyncio.wait([running])


async def commit(settings: MonitorSettings, offset: int, metadata: str) -> None:
    async with AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers, group_id=settings.kafka_group_id, enable_auto_commit=False
    ) as consumer:
        partition = TopicPartition(settings.kafka_topic, 0)
        consumer.assign([partition])
        await consumer.commit({partition: OffsetAndMetadata(offset, metadata)})


async def test_what_is_not_there_yet_is_told_until_it_comes_and_then_exported(
    settings: MonitorSettings, kafka: str
) -> None:
    async with watching(settings) as watcher:
        registry = CollectorRegistry()
        registry.register(LagCollector(watcher))
        with pytest.raises(BrokerUnavailable, match="has not been looked at yet"):
            watcher.report()
        await watcher.looked()
        assert not watcher.seeing.is_set()
        with pytest.raises(CommandFailed, match=r"consumer group .* does not exist"):
            watcher.report()
        assert b"scorer_consumer_lag" not in generate_latest(registry)
        assert registry.get_sample_value("scorer_lag_sample_failures_total") == watcher.failures > 0
        await create_topics(settings, max_image_bytes=2**20, partitions=1)
        await publish(kafka, settings.kafka_topic, [(b"x", [])] * 5)
        await commit(settings, 3, said(time.time() - 60, open=False))
        await eventually(lambda: watcher.latest and watcher.latest.lag == 2)
        report = watcher.report()
        assert watcher.seeing.is_set()
        assert report.status == "STOP"
        assert report.time_lag_s is not None
        assert 0 <= report.time_lag_s < 60  # read from the record
        labels = {"topic": settings.kafka_topic, "partition": "0"}
        assert registry.get_sample_value("scorer_consumer_lag_records", labels) == 2


async def test_a_group_that_has_just_come_is_seen_long_before_the_next_interval(settings: MonitorSettings) -> None:
    async with watching(settings.model_copy(update={"lag_interval_s": 60.0})) as watcher:
        await watcher.looked()
        with pytest.raises(CommandFailed, match="does not exist"):
            watcher.report()
        await create_topics(settings, max_image_bytes=2**20, partitions=1)
        await commit(settings, 0, said(time.time(), open=False))
        await eventually(lambda: watcher.latest is not None, within_s=25)
        assert watcher.report().lag == 0


async def test_kafka_that_does_not_answer_is_not_no_lag(settings: MonitorSettings) -> None:
    async with watching(settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})) as watcher:
        await watcher.looked()
        with pytest.raises(BrokerUnavailable, match=r"not known since 20.*Kafka at 127\.0\.0\.1:1") as raised:
            watcher.report()
        assert raised.value.retry_after_s == settings.lag_interval_s
        assert await watcher.trouble() is not None
