"""Read single records where they stand: the payloads of dead letters that the table does not keep."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from broker.clients import MIB, connection_options, stop_consumer
from broker.failures import explain, kafka_failures
from broker.records import record_of
from errors import BrokerUnavailable
from schemas.records import Record
from settings import KafkaSettings

_START_S = 10.0
_READ_S = 15.0
_POLL_S = 0.5


class Reader:
    """Reads one record at a time, committed ones alone. It belongs to no group."""

    def __init__(self, settings: KafkaSettings, consumer: AIOKafkaConsumer) -> None:
        self._settings = settings
        self._consumer = consumer

    async def read(self, topic: str, partition: int, offset: int) -> Record | None:
        """The record at this place; None where there is none any more (retention, compaction, a topic made anew).

        Its coordinates name no cluster. Raises BrokerUnavailable when Kafka does not hand it over in bounded time.
        """
        at = TopicPartition(topic, partition)
        try:
            with kafka_failures(self._settings):
                async with asyncio.timeout(_READ_S):
                    return await self._read(at, offset)
        except KafkaError as error:
            raise BrokerUnavailable(explain(self._settings, error)) from error

    async def _read(self, at: TopicPartition, offset: int) -> Record | None:
        consumer = self._consumer
        if at.topic not in await consumer.topics():
            return None
        consumer.assign([at])
        first, behind = await consumer.beginning_offsets([at]), await consumer.end_offsets([at])
        if not first[at] <= offset < behind[at]:
            return None
        consumer.seek(at, offset)
        while await consumer.position(at) <= offset:
            for raw in (await consumer.getmany(at, timeout_ms=int(_POLL_S * 1000), max_records=1)).get(at, ()):
                return record_of("", raw) if raw.offset == offset else None
        return None


@asynccontextmanager
async def open_reader(settings: KafkaSettings) -> AsyncIterator[Reader]:
    """A reader that is closed at the end. Raises BrokerUnavailable when Kafka does not answer."""
    consumer = AIOKafkaConsumer(
        **connection_options(settings),
        client_id="streamscorer",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        max_partition_fetch_bytes=4 * MIB,
        request_timeout_ms=int(_START_S * 1000),
    )
    try:
        with kafka_failures(settings):
            async with asyncio.timeout(_START_S):
                await consumer.start()
        yield Reader(settings, consumer)
    finally:
        await stop_consumer(consumer)
