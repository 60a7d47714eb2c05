"""What `publish` promises: the record is in Kafka, or an error says that this is not known."""

import uuid

import pytest

from broker.publisher import open_publisher
from broker.topics import create_topics
from errors import BrokerUnavailable, InvalidEvent
from settings import KafkaSettings
from tests.kafka_tools import read_all


@pytest.fixture
async def settings(kafka: str) -> KafkaSettings:
    made = KafkaSettings(kafka_bootstrap_servers=kafka, kafka_topic=f"p-{uuid.uuid4().hex[:12]}")
    await create_topics(made, max_image_bytes=2**20, partitions=1)
    return made


async def test_the_position_is_where_the_record_stands(settings: KafkaSettings, kafka: str) -> None:
    async with open_publisher(settings) as publisher:
        await publisher.ping()
        for number in range(3):
            sent = await publisher.publish(
                settings.kafka_topic, key=b"k", value=b"%d" % number, headers=(("h", b"1"), ("h", b"\xff"))
            )
            assert (sent.topic, sent.partition, sent.offset) == (settings.kafka_topic, 0, number)
    found = await read_all(kafka, settings.kafka_topic)
    assert [record.value for record in found] == [b"0", b"1", b"2"]
    assert list(found[0].headers) == [("h", b"1"), ("h", b"\xff")]


async def test_a_record_beyond_the_topics_limit_is_the_callers_fault(settings: KafkaSettings) -> None:
    async with open_publisher(settings) as publisher:
        with pytest.raises(InvalidEvent, match=r"the record has 4194304 bytes, more than topic .* accepts"):
            await publisher.publish(settings.kafka_topic, key=None, value=bytes(4 * 2**20), headers=())
        sent = await publisher.publish(settings.kafka_topic, key=None, value=b"small", headers=())
        assert sent.offset == 0


async def test_without_a_broker_there_is_no_acknowledgement() -> None:
    away = KafkaSettings(kafka_bootstrap_servers="127.0.0.1:1")
    async with open_publisher(away) as publisher:
        with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
            await publisher.publish("t", key=None, value=b"v", headers=())
        with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
            await publisher.ping()
