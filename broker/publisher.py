"""Publish a record and know that Kafka has it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerClosed,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from broker.clients import build_producer
from broker.failures import explain, kafka_failures
from errors import BrokerUnavailable, CommandFailed, InvalidEvent
from schemas.records import Headers
from settings import KafkaSettings
from telemetry import logger

log = logger("broker")
_ACKNOWLEDGE_S = 15.0
_START_S = 10.0
_STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class Position:
    """Where a published record stands."""

    topic: str
    partition: int
    offset: int


class Publisher:
    """An idempotent producer that is made anew after a failure it cannot recover from.

    It connects on first use, so that a service starts while Kafka is away and says so in its readiness.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._opening: asyncio.Task[AIOKafkaProducer] | None = None
        self._retiring: set[asyncio.Task[None]] = set()

    async def publish(self, topic: str, *, key: bytes | None, value: bytes | None, headers: Headers) -> Position:
        """Send one record and wait until all replicas have it. Without key and value it gets an empty value.

        Raises BrokerUnavailable when that is not known to have happened (the record may still be there), InvalidEvent
        when the topic refuses its size, CommandFailed when the topic does not exist or is forbidden.
        """
        if key is None and value is None:
            value = b""  # the client refuses what Kafka would take
        producer = await self._open()
        try:
            async with asyncio.timeout(_ACKNOWLEDGE_S):
                sent = await producer.send_and_wait(topic, value=value, key=key, headers=list(headers))
        except MessageSizeTooLargeError as error:
            size = len(value or b"") + len(key or b"")
            raise InvalidEvent(
                f"the record has {size} bytes, more than topic {topic} accepts (its max.message.bytes)"
            ) from error
        except (UnknownTopicOrPartitionError, InvalidTopicError, TopicAuthorizationFailedError) as error:
            await self.ping()  # while no broker answers, every topic that is new to the client is unknown
            raise CommandFailed(
                f"topic {topic}: {type(error).__name__}; `streamscorer topics create` makes it, "
                "and the user needs the right to write to it"
            ) from error
        except (KafkaError, OSError, TimeoutError) as error:
            self._retire(producer)
            raise BrokerUnavailable(explain(self._settings, error)) from error
        return Position(sent.topic, sent.partition, sent.offset)

    async def ping(self) -> None:
        """Ask a broker for metadata. Raises BrokerUnavailable."""
        producer = await self._open()
        try:
            async with asyncio.timeout(_START_S):
                await producer.client.fetch_all_metadata()
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailable(explain(self._settings, error)) from error

    async def close(self) -> None:
        """Let go of the connection; bounded, also with the broker away."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._producer is not None:
            self._retire(self._producer)
        if self._retiring:
            await asyncio.wait(self._retiring, timeout=2 * _STOP_S)

    async def _open(self) -> AIOKafkaProducer:
        """The producer. Who comes while it connects shares that attempt: in a queue the last one would wait for all."""
        if self._producer is not None:
            return self._producer
        if self._opening is None:
            self._opening = asyncio.create_task(self._connect(), name="open-producer")
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    def _opened(self, attempt: asyncio.Task[AIOKafkaProducer]) -> None:
        self._opening = None
        if not attempt.cancelled():
            attempt.exception()  # is no surprise to anybody, also where all who asked have left

    async def _connect(self) -> AIOKafkaProducer:
        producer = build_producer(self._settings)
        try:
            with kafka_failures(self._settings):
                async with asyncio.timeout(_START_S):
                    await producer.start()
        except BaseException:
            self._retire(producer)
            raise
        self._producer = producer
        return producer

    def _retire(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
        task = asyncio.create_task(_stop(producer), name="retire-producer")
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


async def _stop(producer: AIOKafkaProducer) -> None:
    # stop() flushes; with the broker away it would wait for ever, or raise what was pending.
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(_STOP_S):
            await producer.stop()
            return
    # Half stopped it would keep its tasks and connections for good, and there is one for each publish that failed.
    sending, unsent = producer._sender.sender_task, producer._message_accumulator  # noqa: SLF001  (no other way in)
    with suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(_STOP_S):
            if sending is not None:
                sending.cancel()
            await producer.client.close()
            unsent.fail_all(ProducerClosed())
            if sending is not None:
                await asyncio.wait([sending])


@asynccontextmanager
async def open_publisher(settings: KafkaSettings) -> AsyncIterator[Publisher]:
    """A publisher that is closed at the end."""
    publisher = Publisher(settings)
    try:
        yield publisher
    finally:
        await publisher.close()
