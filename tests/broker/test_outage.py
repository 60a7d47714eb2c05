"""A broker that goes away under a publisher that was connected."""

from pathlib import Path

import pytest

from broker.publisher import open_publisher
from broker.topics import create_topics
from embedded.kafka import run_kafka
from errors import BrokerUnavailable
from settings import KafkaSettings


async def test_a_broker_that_went_away_is_an_outage_and_no_missing_topic(jars: Path, tmp_path: Path) -> None:
    async with run_kafka(tmp_path, jars) as broker:
        settings = KafkaSettings(kafka_bootstrap_servers=broker.bootstrap_servers)
        await create_topics(settings, max_image_bytes=2**20)
        publisher = open_publisher(settings)
        held = await publisher.__aenter__()
        await held.ping()
    try:
        with pytest.raises(BrokerUnavailable):
            await held.ping()
        with pytest.raises(BrokerUnavailable):
            await held.publish(settings.kafka_dlq_topic, key=None, value=b"v", headers=())
    finally:
        await publisher.__aexit__(None, None, None)
