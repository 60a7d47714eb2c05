"""Where consumers leave what they have scored, and how it is counted: a table, or MLServer's output topic."""

from collections import Counter
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.ground import query
from broker.topics import inspect
from settings import KafkaSettings

PEER_TABLE = """
CREATE TABLE peer_scores (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kafka_topic text NOT NULL,
  kafka_partition integer NOT NULL,
  kafka_offset bigint NOT NULL,
  class_id integer NOT NULL,
  probability double precision NOT NULL,
  scored_at timestamptz NOT NULL DEFAULT now()
)
"""
"""As a first version has it: nothing but the row's own number is unique."""


PROBE = "probe-"
"""Begins the keys of records that only ask whether somebody listens; they are not counted."""


class Ledger(Protocol):
    """What one run of a consumer has left."""

    async def times(self) -> list[tuple[float, int]]:
        """When something was left (seconds), and how many rows; in order."""

    async def counts(self) -> tuple[int, int]:
        """Rows, and the different records that they are of."""

    async def listens(self) -> bool:
        """Whether a probe was answered."""


class Table:
    """`scores`, or the peers' own; both name the record."""

    def __init__(self, url: str, table: str) -> None:
        self._url = url
        self._table = table

    async def times(self) -> list[tuple[float, int]]:
        """See Ledger."""
        found = await query(
            self._url,
            f"SELECT extract(epoch FROM scored_at)::float8, count(*) FROM {self._table} GROUP BY 1 ORDER BY 1",
        )
        return [(at, rows) for at, rows in found]

    async def counts(self) -> tuple[int, int]:
        """See Ledger."""
        ((rows, records),) = await query(
            self._url, f"SELECT count(*), count(DISTINCT (kafka_partition, kafka_offset)) FROM {self._table}"
        )
        return rows, records

    async def listens(self) -> bool:
        """See Ledger. It reads what came before it, too."""
        return True


class Topic:
    """Records whose key names the record that they answer."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings = settings
        self._topic = topic

    async def times(self) -> list[tuple[float, int]]:
        """See Ledger."""
        stamps = Counter(stamp for _, stamp in await self._counted())
        return [(stamp / 1000, rows) for stamp, rows in sorted(stamps.items())]

    async def counts(self) -> tuple[int, int]:
        """See Ledger."""
        keys = [key for key, _ in await self._counted()]
        return len(keys), len(set(keys))

    async def listens(self) -> bool:
        """See Ledger."""
        return bool(await self._all())

    async def _counted(self) -> list[tuple[bytes, int]]:
        return [(key, stamp) for key, stamp in await self._all() if not key.startswith(PROBE.encode())]

    async def _all(self) -> list[tuple[bytes, int]]:
        """Key and timestamp of each."""
        count = (await inspect(self._settings, [self._topic])).partitions[self._topic]
        async with AIOKafkaConsumer(bootstrap_servers=self._settings.kafka_bootstrap_servers) as consumer:
            return await _read(consumer, [TopicPartition(self._topic, number) for number in range(count)])


async def _read(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> list[tuple[bytes, int]]:
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    ends = await consumer.end_offsets(partitions)
    found: list[tuple[bytes, int]] = []
    while len(found) < sum(ends.values()):
        for records in (await consumer.getmany(timeout_ms=200)).values():
            found += [(record.key or b"", record.timestamp) for record in records]
    return found
