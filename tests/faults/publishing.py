"""Publishes what was planned, and remembers what Kafka acknowledged: with an idempotent producer and all replicas."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.faults.generator import Planned
from tests.faults.history import Expected, Place, Sent

_FLUSH_S = 90.0
_STOP_S = 15.0
_PAUSE_S = 0.5


class Publishing:
    """Records on their way to one topic. A record whose answer never came stays without a place: it may be there."""

    def __init__(self, servers: str, topic: str) -> None:
        self._servers = servers
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None
        self._stuck = False
        self._memory: dict[str, Expected] = {}
        self._acknowledged: dict[str, Place] = {}
        self._outstanding: set[asyncio.Future[Any]] = set()

    @property
    def acknowledged(self) -> int:
        return len(self._acknowledged)

    def sent(self) -> list[Sent]:
        """Everything that was handed to the producer."""
        return [Sent(name, expected, self._acknowledged.get(name)) for name, expected in self._memory.items()]

    async def publish(self, planned: Sequence[Planned]) -> None:
        """Hand over, in order; waits while Kafka does not take any more."""
        for one in planned:
            self._memory[one.marker] = one.expected
            future = await self._hand_over(one)
            self._outstanding.add(future)
            future.add_done_callback(partial(self._note, one.marker))

    async def flush(self) -> None:
        """Wait until each record has its answer, or will not get one any more."""
        if self._producer is not None and self._outstanding:
            await asyncio.wait(self._outstanding, timeout=_FLUSH_S)

    async def close(self) -> None:
        """Flush, and give the producer back."""
        await self.flush()
        await self._give_up()

    async def _hand_over(self, one: Planned) -> "asyncio.Future[Any]":
        while True:
            try:
                producer = await self._open()
                known = sorted(await producer.partitions_for(self._topic))
                future: asyncio.Future[Any] = await producer.send(
                    self._topic,
                    one.value,
                    key=one.key,
                    headers=list(one.headers),
                    partition=known[one.spread % len(known)],
                )
            except KafkaError:
                self._stuck = True
                await asyncio.sleep(_PAUSE_S)
            else:
                return future

    async def _open(self) -> AIOKafkaProducer:
        if self._stuck:
            # An idempotent producer may stay broken after its cluster had trouble: only a new one goes on.
            await self._give_up()
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._servers, acks="all", enable_idempotence=True, linger_ms=5,
                max_request_size=1 << 25, request_timeout_ms=10_000, metadata_max_age_ms=3000,
            )  # fmt: skip
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer, self._stuck = producer, False
        return self._producer

    async def _give_up(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await producer.stop()

    def _note(self, marker: str, answer: "asyncio.Future[Any]") -> None:
        self._outstanding.discard(answer)
        if answer.cancelled() or answer.exception() is not None:
            self._stuck = True
        else:
            self._acknowledged[marker] = (answer.result().partition, answer.result().offset)


@asynccontextmanager
async def open_publishing(servers: str, topic: str) -> AsyncIterator[Publishing]:
    """A publisher; its producer is closed at the end."""
    publishing = Publishing(servers, topic)
    try:
        yield publishing
    finally:
        await publishing.close()
