"""What one look at a consumer group finds, and what it says where there is nothing to find."""

import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, OffsetAndMetadata, TopicPartition
from aiokafka.client import AIOKafkaClient

from broker.clients import build_consumer
from broker.groups import Groups, open_groups
from broker.samples import Place
from broker.topics import create_topics
from embedded.kafka import run_kafka
from errors import BrokerUnavailable, UsageError
from settings import KafkaSettings
from tests.kafka_tools import publish
from tests.waiting import eventually


@pytest.fixture
async def settings(kafka: str) -> KafkaSettings:
    name = f"g-{uuid.uuid4().hex[:12]}"
    made = KafkaSettings(kafka_bootstrap_servers=kafka, kafka_topic=name, kafka_group_id=name)
    await create_topics(made, max_image_bytes=2**20, partitions=3)
    return made


@pytest.fixture
async def groups(settings: KafkaSettings) -> AsyncIterator[Groups]:
    async with open_groups(settings) as opened:
        yield opened


async def commit(settings: KafkaSettings, offsets: dict[int, tuple[int, str]]) -> None:
    """As an operator would, with the group empty."""
    topic = settings.kafka_topic
    async with AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers, group_id=settings.kafka_group_id, enable_auto_commit=False
    ) as consumer:
        consumer.assign([TopicPartition(topic, partition) for partition in range(3)])
        await consumer.commit({TopicPartition(topic, p): OffsetAndMetadata(*at) for p, at in offsets.items()})


async def test_offsets_with_their_metadata_log_ends_and_beginnings_without_any_member(
    settings: KafkaSettings, groups: Groups, kafka: str
) -> None:
    await publish(kafka, settings.kafka_topic, [(b"x", [])] * 5, partition=0)
    await publish(kafka, settings.kafka_topic, [(b"x", [])] * 2, partition=2)
    await commit(settings, {0: (3, "mine"), 1: (0, "")})
    sample = await groups.look(settings.kafka_group_id, [settings.kafka_topic])
    found = {p.place.partition: (p.committed, p.metadata, p.beginning, p.end, p.owner) for p in sample.partitions}
    assert found == {0: (3, "mine", 0, 5, None), 1: (0, "", 0, 0, None), 2: (None, "", 0, 2, None)}
    assert (sample.state, sample.members) == ("Empty", ())
    assert sample.cluster_id
    assert abs(sample.at - time.time()) < 5


async def test_who_has_which_partition(settings: KafkaSettings, groups: Groups) -> None:
    consumer = build_consumer(settings, partition_fetch_bytes=2**20)
    consumer.subscribe([settings.kafka_topic])
    await consumer.start()
    try:
        await eventually(lambda: len(consumer.assignment()) == 3)
        sample = await groups.look(settings.kafka_group_id)  # no topics given: the member's own
    finally:
        await consumer.stop()
    assert sample.state == "Stable"
    assert sample.members is not None
    (member,) = sample.members
    assert member.places == tuple(Place(settings.kafka_topic, partition) for partition in range(3))
    assert {p.owner for p in sample.partitions} == {f"{member.name}@127.0.0.1"}
    assert member.name.startswith("streamscorer-")
    left = await groups.look(settings.kafka_group_id, [settings.kafka_topic])
    assert (left.state, left.members) == ("Empty", ())


async def test_the_end_is_what_a_reader_of_committed_records_can_reach(
    settings: KafkaSettings, groups: Groups, kafka: str
) -> None:
    await commit(settings, {0: (0, "")})
    async with AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=settings.kafka_topic) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(settings.kafka_topic, b"open", partition=0)
        sample = await groups.look(settings.kafka_group_id, [settings.kafka_topic])
        assert sample.partitions[0].end == 0
        await producer.commit_transaction()

    async def end() -> int:
        return (await groups.look(settings.kafka_group_id, [settings.kafka_topic])).partitions[0].end

    assert await eventually(end) == 2  # the record and the transaction's marker


async def test_when_a_record_was_written(settings: KafkaSettings, groups: Groups, kafka: str) -> None:
    topic = settings.kafka_topic
    async with AIOKafkaProducer(bootstrap_servers=kafka, compression_type="lz4") as producer:
        for at_s in (1_000, 2_000):
            await producer.send_and_wait(topic, bytes(100_000), partition=0, timestamp_ms=at_s * 1000)
    await commit(settings, {0: (0, "")})
    await groups.look(settings.kafka_group_id, [topic])
    found = [await groups.timestamp(Place(topic, 0), offset) for offset in (0, 1, 2, 99)]
    assert found == [1_000, 2_000, None, None]


async def test_a_group_that_does_not_exist_is_said(settings: KafkaSettings, groups: Groups) -> None:
    with pytest.raises(UsageError, match="consumer group nobody does not exist on 127"):
        await groups.look("nobody", [settings.kafka_topic])


async def test_what_was_committed_and_who_is_there_can_be_asked_alone(settings: KafkaSettings, groups: Groups) -> None:
    assert (await groups.committed("nobody"), await groups.members("nobody")) == ({}, None)
    await commit(settings, {0: (3, "mine"), 2: (0, "")})
    place = settings.kafka_topic
    assert await groups.committed(settings.kafka_group_id) == {Place(place, 0): (3, "mine"), Place(place, 2): (0, "")}
    assert await groups.members(settings.kafka_group_id) == ()


async def test_the_first_question_in_a_brokers_life_waits_for_its_coordinator(jars: Path, tmp_path: Path) -> None:
    async with run_kafka(tmp_path, jars) as broker:
        settings = KafkaSettings(kafka_bootstrap_servers=broker.bootstrap_servers)
        async with open_groups(settings, timeout_s=30) as groups:
            assert await groups.members("nobody") is None


async def test_a_topic_that_does_not_exist_is_said_and_not_made(
    settings: KafkaSettings, groups: Groups, kafka: str
) -> None:
    await commit(settings, {0: (0, "")})
    for _ in range(2):
        with pytest.raises(UsageError, match="topic no-such does not exist on 127"):
            await groups.look(settings.kafka_group_id, ["no-such"])


async def test_a_look_is_a_handful_of_requests(
    settings: KafkaSettings, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    await commit(settings, dict.fromkeys(range(3), (0, "")))
    await groups.look(settings.kafka_group_id, [settings.kafka_topic])
    sent = []
    send: Any = AIOKafkaClient.send

    async def noted(self: AIOKafkaClient, node: int, request: object, **more: object) -> Any:
        sent.append(type(request).__name__)
        return await send(self, node, request, **more)

    monkeypatch.setattr(AIOKafkaClient, "send", noted)
    await groups.look(settings.kafka_group_id, [settings.kafka_topic])
    assert sorted(sent) == ["DescribeGroupsRequest", "OffsetFetchRequest", "OffsetRequest", "OffsetRequest"]


async def test_without_a_broker_there_is_an_error_in_bounded_time() -> None:
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
        async with open_groups(KafkaSettings(kafka_bootstrap_servers="127.0.0.1:1"), timeout_s=2):
            pass
    assert time.monotonic() - began < 10
