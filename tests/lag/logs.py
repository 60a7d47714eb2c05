"""Logs of all kinds for a group to stand in, with what is special about each partition."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from broker.samples import Place
from tests.kafka_tools import publish, read_all
from tests.waiting import eventually

RECORD: Final = b"\xff\xd8\xff" + bytes(100)
_LONG_MS: Final = 600_000
_COMPACTED: Final = {
    "cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0",
}  # fmt: skip


class Logs:
    """Makes topics and fills them, past all our own code."""

    def __init__(self, servers: str, admin: AIOKafkaAdminClient) -> None:
        self._servers = servers
        self._admin = admin

    async def make(self, topic: str, partitions: int, config: Mapping[str, str] | None = None) -> None:
        """A topic, once its leaders are known."""
        await self._admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=dict(config or {}))])
        await eventually(lambda: self._there(topic), f"{topic} has leaders")

    async def delete(self, topic: str) -> None:
        """Gone, for clients too."""
        await self._admin.delete_topics([topic])
        await eventually(lambda: self._gone(topic), f"{topic} is gone")

    async def records(self, place: Place, count: int) -> None:
        """Plain ones."""
        await publish(self._servers, place.topic, [(RECORD, [])] * count, partition=place.partition)

    async def transaction(self, place: Place, count: int, *, commit: bool) -> None:
        """So many records and a marker."""
        async with self.open_transaction(place, count) as producer:
            await (producer.commit_transaction() if commit else producer.abort_transaction())

    @asynccontextmanager
    async def open_transaction(self, place: Place, count: int) -> AsyncIterator[AIOKafkaProducer]:
        """It stays open as long as the context; what is not committed then is aborted."""
        name = f"{place.topic}-{place.partition}"
        async with AIOKafkaProducer(
            bootstrap_servers=self._servers, transactional_id=name, transaction_timeout_ms=_LONG_MS
        ) as producer:
            await producer.begin_transaction()
            for _ in range(count):
                await producer.send_and_wait(place.topic, RECORD, partition=place.partition)
            yield producer

    async def trim(self, place: Place, before: int) -> None:
        """Delete what is older."""
        await self._admin.delete_records({TopicPartition(*place): RecordsToDelete(before)})

    async def compacted(self, topic: str, keys: int, times: int) -> None:
        """A topic of one partition in which fewer records are left than there are offsets."""
        await self.make(topic, 1, _COMPACTED)
        async with AIOKafkaProducer(bootstrap_servers=self._servers) as producer:
            for _ in range(times):
                for key in range(keys):
                    await producer.send_and_wait(topic, RECORD, key=str(key).encode(), partition=0)
                await asyncio.sleep(0.2)  # a new segment: the last one is never compacted
            await producer.send_and_wait(topic, RECORD, key=b"last", partition=0)

        async def cleaned() -> bool:
            return len(await read_all(self._servers, topic)) < keys * times

        await eventually(cleaned, f"{topic} is compacted", within_s=60)

    async def _there(self, topic: str) -> bool:
        (found,) = await self._admin.describe_topics([topic])
        partitions: Sequence[Mapping[str, int]] = found["partitions"]
        return bool(partitions) and all(one["leader"] >= 0 for one in partitions)

    async def _gone(self, topic: str) -> bool:
        (found,) = await self._admin.describe_topics([topic])
        return bool(found["error_code"])


@asynccontextmanager
async def open_logs(servers: str) -> AsyncIterator[Logs]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        yield Logs(servers, admin)
    finally:
        await admin.close()
