"""The floor of the stream: one loop of poll, envelope, digest, look-up, COPY and commit, without any of our rooms.

What somebody writes who needs no dead letters, no conflicts and no answer to a crash between two of its lines.
"""

import asyncio
import hashlib
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition

_EPOCH = datetime.fromtimestamp(0, UTC)
_TOP = json.dumps([{"class_id": n, "label": f"class {n}", "probability": 0.5 / (n + 1)} for n in range(5)])
_COLUMNS = (
    "source",
    "event_id",
    "model_version",
    "predicted_class",
    "label",
    "probability",
    "top",
    "sha256",
    "format",
    "width",
    "height",
    "bytes",
    "engine",
    "precision",
    "event_time",
    "kafka_topic",
    "kafka_partition",
    "kafka_offset",
    "kafka_cluster",
    "record_time",
    "envelope_digest",
)
_COPY = f"COPY scores ({', '.join(_COLUMNS)}) FROM STDIN"
_SEEN = """
SELECT source, event_id FROM scores JOIN unnest(%s::text[], %s::text[]) AS asked (source, event_id)
USING (source, event_id)
"""
_MOST_RECORDS = 4096

Raw = "ConsumerRecord[bytes, bytes]"


@dataclass(frozen=True, slots=True)
class Bare:
    """Where the loop reads, and where it writes."""

    servers: str
    topic: str
    group: str
    database_url: str
    """Its `scores` is the migrated table, with every index."""


async def run_bare_stream(bare: Bare, records: int) -> tuple[float, float]:
    """Clocks (time.perf_counter) before the first poll and after the last commit of `records` records."""
    consumer = AIOKafkaConsumer(
        bare.topic,
        bootstrap_servers=bare.servers,
        group_id=bare.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1024 * 1024,
        fetch_max_bytes=16 * 1024 * 1024,
    )
    await consumer.start()
    try:
        while not consumer.assignment():  # noqa: ASYNC110  (the client has no event for it that is public)
            await asyncio.sleep(0.005)
        async with await psycopg.AsyncConnection.connect(bare.database_url, autocommit=True) as connection:
            begun = time.perf_counter()
            done = 0
            while done < records:
                polled: dict[TopicPartition, list[Any]] = await consumer.getmany(
                    timeout_ms=500, max_records=_MOST_RECORDS
                )
                rows = await asyncio.to_thread(_rows, polled)
                if not rows:
                    continue
                await _write(connection, rows)
                await consumer.commit({tp: raws[-1].offset + 1 for tp, raws in polled.items() if raws})
                done += len(rows)
            return begun, time.perf_counter()
    finally:
        await consumer.stop()


async def _write(connection: psycopg.AsyncConnection, rows: list[tuple[Any, ...]]) -> None:
    asked = [row[0] for row in rows], [row[1] for row in rows]
    seen = set(await (await connection.execute(_SEEN, asked)).fetchall())
    async with connection.transaction(), connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for row in rows:
            if row[:2] not in seen:
                await copy.write_row(row)


def _rows(polled: dict[TopicPartition, list[Any]]) -> list[tuple[Any, ...]]:
    return [_row(raw) for raws in polled.values() for raw in raws]


def _row(raw: Any) -> tuple[Any, ...]:
    headers = dict(raw.headers)
    digest = hashlib.sha256(raw.value).hexdigest()
    at = _EPOCH + timedelta(milliseconds=raw.timestamp)
    return (
        headers["ce_source"].decode(),
        headers["ce_id"].decode(),
        "bare-000000000001",
        0,
        "class 0",
        0.5,
        _TOP,
        digest,
        "jpeg",
        640,
        480,
        len(raw.value),
        "bare",
        "fp32",
        at,
        raw.topic,
        raw.partition,
        raw.offset,
        "cluster",
        at,
        digest,
    )
