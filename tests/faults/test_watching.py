"""The lag while Kafka is broken: never an old number as if it were true, and right again by itself."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from broker.topics import create_topics
from errors import BrokerUnavailable
from monitor.watcher import Watcher
from settings import MonitorSettings
from tests.faults.brokers import run_brokers
from tests.waiting import eventually


@pytest.mark.soak
@pytest.mark.timeout(200)
async def test_a_broker_that_is_frozen_or_dead_is_told_and_it_goes_on_when_it_is_back(
    tmp_path: Path, jars: Path
) -> None:
    async with run_brokers(tmp_path, jars) as brokers:
        servers = brokers.bootstrap_servers
        settings = MonitorSettings(kafka_bootstrap_servers=servers, kafka_group_id="g", lag_interval_s=0.5)
        await create_topics(settings, max_image_bytes=2**20, partitions=1)
        async with AIOKafkaConsumer(bootstrap_servers=servers, group_id="g", enable_auto_commit=False) as consumer:
            partition = TopicPartition(settings.kafka_topic, 0)
            consumer.assign([partition])
            await consumer.commit({partition: 0})
        watcher = Watcher(settings)
        running = asyncio.create_task(watcher.run())

        def known() -> bool:
            try:
                return watcher.report().status == "OK"
            except BrokerUnavailable:
                return False

        try:
            for breaks, mends in ((brokers.pause, brokers.resume), (brokers.kill, brokers.start)):
                await eventually(known)
                await breaks(1)
                await eventually(lambda: not known(), within_s=25)
                assert watcher.latest is not None
                await mends(1)
            await eventually(known)
        finally:
            running.cancel()
            await asyncio.wait([running])
