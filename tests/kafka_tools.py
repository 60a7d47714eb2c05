"""What a test asks Kafka and the tables, past all our own code."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from tests.waiting import eventually

Header = tuple[str, bytes]


async def publish(
    servers: str, topic: str, records: Sequence[tuple[bytes | None, list[Header]]], *, partition: int | None = None
) -> list[tuple[int, int]]:
    """Publish (value, headers), round robin over the partitions or to one; (partition, offset) of each."""
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all", max_request_size=2**25) as producer:
        count = len(await producer.partitions_for(topic))
        sent = [
            await producer.send(
                topic,
                value,
                key=b"gone" if value is None else None,
                headers=headers,
                partition=index % count if partition is None else partition,
            )
            for index, (value, headers) in enumerate(records)
        ]
        done = await asyncio.gather(*sent)
    return [(at.partition, at.offset) for at in done]


async def publish_aborted(servers: str, topic: str, value: bytes, headers: Sequence[Header] = ()) -> None:
    """Leave a record of an aborted transaction on partition 0, and its marker behind it.

    Kafka writes the marker a tenth of a second after the abort is answered: what is published before that stands in
    front of it.
    """
    at = TopicPartition(topic, 0)
    async with (
        AIOKafkaProducer(bootstrap_servers=servers, transactional_id=f"{topic}-aborted") as producer,
        AIOKafkaConsumer(bootstrap_servers=servers, isolation_level="read_committed") as consumer,
    ):
        await producer.begin_transaction()
        sent = await producer.send_and_wait(topic, value, headers=headers, partition=0)
        await producer.abort_transaction()

        async def decided() -> bool:
            return bool((await consumer.end_offsets([at]))[at] > sent.offset)

        await eventually(decided, f"the transaction's marker in {topic}")


async def partitions_of(servers: str, topic: str) -> list[TopicPartition]:
    """All partitions of a topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        (described,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    return [TopicPartition(topic, partition["partition"]) for partition in described["partitions"]]


async def each_record(servers: str, topic: str) -> "AsyncIterator[ConsumerRecord[bytes, bytes]]":
    """Every record of a topic, in the order of each partition."""
    async with AIOKafkaConsumer(
        bootstrap_servers=servers, isolation_level="read_committed", max_partition_fetch_bytes=2**24
    ) as consumer:
        partitions = await partitions_of(servers, topic)
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        for tp, first in (await consumer.beginning_offsets(partitions)).items():
            consumer.seek(tp, first)
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    yield record


async def read_all(servers: str, topic: str) -> "list[ConsumerRecord[bytes, bytes]]":
    """Every record of a topic, by partition and offset."""
    found = [record async for record in each_record(servers, topic)]
    return sorted(found, key=lambda record: (record.partition, record.offset))


async def lag(servers: str, group: str, topic: str) -> int | None:
    """Records between the committed offsets and the end; None while a partition has no commit."""
    async with AIOKafkaConsumer(bootstrap_servers=servers) as consumer:
        partitions = await partitions_of(servers, topic)
        ends = await consumer.end_offsets(partitions)
    committed = await committed_offsets(servers, group)
    if any(tp not in committed for tp in partitions):
        return None
    behind: int = sum(ends[tp] - committed[tp][0] for tp in partitions)
    return behind


async def committed_offsets(servers: str, group: str) -> dict[TopicPartition, tuple[int, str]]:
    """Offset and metadata of each partition that the group has committed; none while the cluster has no coordinator."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(group)
    except GroupCoordinatorNotAvailableError:
        return {}
    finally:
        await admin.close()
    return {tp: (at.offset, at.metadata) for tp, at in found.items() if at.offset >= 0}


async def set_back(servers: str, group: str, topic: str) -> None:
    """What an operator does with the group stopped: its offsets go back to the beginning."""
    partitions = await partitions_of(servers, topic)
    async with AIOKafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False) as consumer:
        consumer.assign(partitions)
        await consumer.commit(await consumer.beginning_offsets(partitions))


async def rows(database_url: str, query: str) -> list[tuple[Any, ...]]:
    """What a query returns, over a connection of its own."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        return await (await connection.execute(query)).fetchall()
