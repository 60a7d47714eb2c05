"""Moves the committed offsets of a group that is stopped, within the logs of one topic."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from broker.clients import connection_options, stop_consumer
from broker.failures import kafka_failures
from errors import UsageError
from settings import KafkaSettings

_ANSWER_S = 15.0


class Offsets:
    """For the group KAFKA_GROUP_ID and one topic: its logs, as a reader of committed records sees them, and commits.

    Every method raises BrokerUnavailable when Kafka does not answer in bounded time, UsageError where it forbids us the
    topic or the group.
    """

    def __init__(self, settings: KafkaSettings, topic: str, consumer: AIOKafkaConsumer) -> None:
        self._settings = settings
        self._topic = topic
        self._consumer = consumer

    async def limits(self, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Offset of each partition's first record, and the one behind its last."""
        named = self._named(partitions)
        async with self._answer():
            first = await self._consumer.beginning_offsets(named)
            end = await self._consumer.end_offsets(named)
        return {tp.partition: (first[tp], end[tp]) for tp in named}

    async def at_time(self, partitions: Iterable[int], timestamp_ms: int) -> dict[int, int]:
        """Offset of each partition's first record that is not older; without the partitions that have none."""
        async with self._answer():
            found = await self._consumer.offsets_for_times(dict.fromkeys(self._named(partitions), max(0, timestamp_ms)))
        return {tp.partition: at.offset for tp, at in found.items() if at is not None}

    async def move(self, offsets: Mapping[int, int], metadata: str) -> bool:
        """Commit these, by partition, for the group; False when Kafka refuses it, because the group has members.

        Where it raises BrokerUnavailable it may have been done.
        """
        named = {TopicPartition(self._topic, partition): offset for partition, offset in offsets.items()}
        self._consumer.assign(list(named))
        self._consumer.pause(*named)  # before anything is awaited: nobody wants the records
        async with self._answer():
            try:
                await self._consumer.commit({tp: OffsetAndMetadata(offset, metadata) for tp, offset in named.items()})
            except CommitFailedError:
                return False
        return True

    def _named(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in partitions]

    @asynccontextmanager
    async def _answer(self) -> AsyncIterator[None]:
        # By itself the client asks again for ever.
        with _group_failures(self._settings):
            async with asyncio.timeout(_ANSWER_S):
                yield


@asynccontextmanager
async def open_offsets(settings: KafkaSettings, topic: str) -> AsyncIterator[Offsets]:
    """For a group that is not joined. Raises BrokerUnavailable when Kafka does not answer."""
    consumer = AIOKafkaConsumer(
        **connection_options(settings),
        client_id="streamscorer",
        group_id=settings.kafka_group_id,
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    try:
        with kafka_failures(settings):
            async with asyncio.timeout(_ANSWER_S):
                await consumer.start()
        yield Offsets(settings, topic, consumer)
    finally:
        await stop_consumer(consumer)


@contextmanager
def _group_failures(settings: KafkaSettings) -> Iterator[None]:
    try:
        with kafka_failures(settings):
            yield
    except (GroupAuthorizationFailedError, TopicAuthorizationFailedError) as error:
        raise UsageError(_forbidden(settings, error)) from error


def _forbidden(settings: KafkaSettings, error: KafkaError) -> str:
    what = f"group {settings.kafka_group_id}" if isinstance(error, GroupAuthorizationFailedError) else "the topic"
    user = settings.kafka_sasl_username or "this client"
    return (
        f"Kafka forbids {user} {what} ({type(error).__name__}): it must be allowed to describe and read the topic "
        "and the group"
    )
