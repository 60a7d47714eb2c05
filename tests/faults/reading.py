"""Reads what a run left, past all our own code: topics, tables, committed offsets, log ends."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient

from tests.faults.history import Answer, Kept, LetterRow, ScoreRow
from tests.kafka_tools import committed_offsets, each_record, partitions_of

# A row's xmin is the transaction that wrote this version of it, and `xact` the one that inserted it.
SCORES = """
SELECT kafka_partition, kafka_offset, round(extract(epoch FROM record_time) * 1000)::bigint, source, event_id,
  model_version, predicted_class, probability, sha256, extract(epoch FROM scored_at)::float8,
  xmin::text::numeric <> xact::text::numeric %% 4294967296
FROM scores
WHERE kafka_topic = %(topic)s AND xact >= %(since)s::xid8
"""
DEAD_LETTERS = """
SELECT partition, "offset", round(extract(epoch FROM record_time) * 1000)::bigint, reason, message, key, value, headers,
  extract(epoch FROM failed_at)::float8
FROM dead_letters
WHERE topic = %(topic)s AND xact >= %(since)s::xid8
"""
HORIZON = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text"


@dataclass(frozen=True, slots=True)
class Where:
    """What a run is about. `database_url` is the server itself, no proxy before it."""

    servers: str
    database_url: str
    topic: str
    group: str

    @property
    def dlq_topic(self) -> str:
        return f"{self.topic}.dlq"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of both tables in one snapshot. What is committed later has an `xact` of `horizon` or above."""

    scores: list[ScoreRow]
    dead_letters: list[LetterRow]
    horizon: str


async def read_rows(database_url: str, topic: str, *, since: str = "0") -> Rows:
    """The rows whose transaction is not below `since`."""
    asked = {"topic": topic, "since": since}
    # The connection's own commit, cancelled, would leave it open; a transaction within it does not.
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        async with connection.transaction():
            (horizon,) = await _one(connection, HORIZON)
            scores = await (await connection.execute(SCORES, asked)).fetchall()
            letters = await (await connection.execute(DEAD_LETTERS, asked)).fetchall()
    return Rows([_score(row) for row in scores], [_letter(row) for row in letters], horizon)


async def _one(connection: psycopg.AsyncConnection, query: str) -> tuple[Any, ...]:
    row = await (await connection.execute(query.encode())).fetchone()
    assert row is not None
    return row


def _score(row: Sequence[Any]) -> ScoreRow:
    partition, offset, timestamp_ms, source, event_id, version, class_id, probability, sha256, at_s, changed = row
    answer: Answer = class_id, probability
    return ScoreRow(
        (partition, offset), timestamp_ms, source, event_id, version, answer, sha256, 0, at_s, changed=changed
    )


def _letter(row: Sequence[Any]) -> LetterRow:
    partition, offset, timestamp_ms, reason, message, key, value, headers, at_s = row
    decoded = tuple((name, base64.b64decode(content)) for name, content in headers)
    return LetterRow((partition, offset), timestamp_ms, reason, message, key, _digest(value), decoded, 0, at_s)


def _digest(value: bytes | None) -> str | None:
    return None if value is None else hashlib.sha256(value).hexdigest()


async def read_topic(servers: str, topic: str) -> list[Kept]:
    """Every record of a topic, by partition and offset; of values only the digests are kept."""
    found = [_kept(record) async for record in each_record(servers, topic)]
    return sorted(found, key=lambda record: record.place)


def _kept(record: "ConsumerRecord[bytes, bytes]") -> Kept:
    headers = tuple(record.headers)
    return Kept(record.partition, record.offset, record.timestamp, record.key, _digest(record.value), headers)


async def read_committed(servers: str, group: str, topic: str) -> dict[int, int]:
    """The group's committed offset of each partition that has one."""
    found = await committed_offsets(servers, group)
    return {tp.partition: offset for tp, (offset, _) in found.items() if tp.topic == topic}


async def read_ends(servers: str, topic: str) -> dict[int, int]:
    """Where the log of each partition ends for readers of committed records."""
    async with AIOKafkaConsumer(bootstrap_servers=servers, isolation_level="read_committed") as consumer:
        ends = await consumer.end_offsets(await partitions_of(servers, topic))
    return {tp.partition: offset for tp, offset in ends.items()}


async def read_cluster_id(servers: str) -> str:
    """Kafka's name for itself."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        return str((await admin.describe_cluster())["cluster_id"])
    finally:
        await admin.close()
