"""Topics on a real broker: created with sane settings, grown, never shrunk, and told apart when they are missing."""

import uuid
from typing import Any

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from broker.clients import open_admin
from broker.topics import create_topics, inspect
from errors import BrokerUnavailable, CommandFailed, UsageError
from settings import KafkaSettings

MIB = 2**20


@pytest.fixture
def settings(kafka: str) -> KafkaSettings:
    name = f"b-{uuid.uuid4().hex[:12]}"
    return KafkaSettings(kafka_bootstrap_servers=kafka, kafka_topic=name, kafka_scores_topic=f"{name}.scores")


async def test_topics_are_created_once_and_grow(settings: KafkaSettings) -> None:
    first = await create_topics(settings, max_image_bytes=8 * MIB, partitions=2)
    assert first == [
        f"{settings.kafka_topic}: created with 2 partitions",
        f"{settings.kafka_dlq_topic}: created with 1 partition",
        f"{settings.kafka_scores_topic}: created with 2 partitions",
    ]
    again = await create_topics(settings, max_image_bytes=8 * MIB)
    assert again[0] == f"{settings.kafka_topic}: exists with 2 partitions"
    grown = await create_topics(settings, max_image_bytes=8 * MIB, partitions=5)
    assert grown[0] == f"{settings.kafka_topic}: grown from 2 to 5 partitions"
    cluster = await inspect(settings, [settings.kafka_topic, settings.kafka_dlq_topic])
    assert cluster.partitions == {settings.kafka_topic: 5, settings.kafka_dlq_topic: 1}
    assert cluster.id


async def test_a_topic_is_never_shrunk(settings: KafkaSettings) -> None:
    await create_topics(settings, max_image_bytes=8 * MIB, partitions=3)
    with pytest.raises(CommandFailed, match=r"has 3 partitions, asked for 2: Kafka cannot shrink"):
        await create_topics(settings, max_image_bytes=8 * MIB, partitions=2)


async def test_the_dlq_takes_every_record_that_the_input_takes(settings: KafkaSettings) -> None:
    await create_topics(settings, max_image_bytes=8 * MIB, partitions=1)
    limits = []
    async with open_admin(settings) as admin:
        for topic in (settings.kafka_topic, settings.kafka_dlq_topic):
            resource = ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": ""})
            response: Any
            (response,) = await admin.describe_configs([resource])
            limits.append(int(response.resources[0][4][0][1]))
    assert limits[0] > 8 * MIB * 4 / 3
    assert limits[1] == limits[0] + 64 * 1024


async def test_too_many_replicas_are_a_clear_refusal(settings: KafkaSettings) -> None:
    with pytest.raises(CommandFailed, match="could not be created: InvalidReplicationFactor"):
        await create_topics(settings, max_image_bytes=8 * MIB, replication_factor=3)


async def test_a_missing_topic_names_the_command_that_makes_it(settings: KafkaSettings) -> None:
    with pytest.raises(UsageError, match=r"does not exist .* `streamscorer topics create` makes it"):
        await inspect(settings, [settings.kafka_topic])


async def test_a_broker_that_is_away_is_transient_and_named() -> None:
    with pytest.raises(BrokerUnavailable, match=r"Kafka at 127\.0\.0\.1:1 .* does not answer"):
        await inspect(KafkaSettings(kafka_bootstrap_servers="127.0.0.1:1"), ["t"])
