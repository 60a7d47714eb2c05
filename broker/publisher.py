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
        self._opening = asyncio.Lock()
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
        if self._producer is not None:
            self._retire(self._producer)
        if self._retiring:
            await asyncio.wait(self._retiring, timeout=_STOP_S)

    async def _open(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                producer = build_producer(self._settings)
                try:
                    with kafka_failures(self._settings):
                        async with asyncio.timeout(_START_S):
                            await producer.start()
                except BaseException:
                    self._retire(producer)
                    raise
                self._producer = producer
            return self._producer

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


@asynccontextmanager
async def open_publisher(settings: KafkaSettings) -> AsyncIterator[Publisher]:
    """A publisher that is closed at the end."""
    publisher = Publisher(settings)
    try:
        yield publisher
    finally:
        await publisher.close()
