"""One record at a position: the one that stands there, or none."""

import uuid
from collections.abc import AsyncIterator

import pytest

from broker.reading import Reader, open_reader
from broker.topics import create_topics
from errors import BrokerUnavailable
from settings import KafkaSettings
from tests.kafka_tools import publish, publish_aborted


@pytest.fixture
async def settings(kafka: str) -> KafkaSettings:
    made = KafkaSettings(kafka_bootstrap_servers=kafka, kafka_topic=f"r-{uuid.uuid4().hex[:12]}")
    await create_topics(made, max_image_bytes=2**23, partitions=2)
    return made


@pytest.fixture
async def reader(settings: KafkaSettings) -> AsyncIterator[Reader]:
    async with open_reader(settings) as opened:
        yield opened


async def test_any_record_is_read_whole_in_any_order(settings: KafkaSettings, reader: Reader, kafka: str) -> None:
    large = bytes(6 * 2**20)
    await publish(kafka, settings.kafka_topic, [(b"zero", [("h", b"\xff")]), (b"one", []), (large, [])], partition=0)
    await publish(kafka, settings.kafka_topic, [(b"elsewhere", [])], partition=1)
    found = [await reader.read(settings.kafka_topic, *place) for place in ((0, 2), (1, 0), (0, 0), (0, 1))]
    assert [record and record.value for record in found] == [large, b"elsewhere", b"zero", b"one"]
    assert found[2] is not None
    assert found[2].headers == (("h", b"\xff"),)


async def test_where_no_committed_record_stands_there_is_none(
    settings: KafkaSettings, reader: Reader, kafka: str
) -> None:
    await publish_aborted(kafka, settings.kafka_topic, b"aborted")
    assert await reader.read(settings.kafka_topic, 0, 0) is None  # aborted, and nothing behind it
    assert await reader.read(settings.kafka_topic, 0, 1) is None  # the transaction's marker
    assert await publish(kafka, settings.kafka_topic, [(b"kept", [])], partition=0) == [(0, 2)]
    assert await reader.read(settings.kafka_topic, 0, 0) is None
    kept = await reader.read(settings.kafka_topic, 0, 2)
    assert kept is not None
    assert kept.value == b"kept"
    assert await reader.read(settings.kafka_topic, 0, 3) is None  # beyond the end
    assert await reader.read("no-such-topic", 0, 0) is None


async def test_without_a_broker_there_is_an_error_in_bounded_time() -> None:
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
        async with open_reader(KafkaSettings(kafka_bootstrap_servers="127.0.0.1:1")):
            pass
