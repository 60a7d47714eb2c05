"""Where the stream's peers write: one table without a key beyond its number, as a first version has it.

PEER_DATABASE_URL, PEER_SERVERS, PEER_TOPIC and PEER_GROUP say where from and where to.
"""

import os
from collections.abc import Sequence

import asyncpg

from bench.peers.servers.model import Answer

_INSERT = """
INSERT INTO peer_scores (kafka_topic, kafka_partition, kafka_offset, class_id, probability) VALUES ($1, $2, $3, $4, $5)
"""

Place = tuple[str, int, int]
"""Topic, partition, offset of a record."""


async def connect() -> "asyncpg.Connection[asyncpg.Record]":
    """One connection for the life of the consumer."""
    return await asyncpg.connect(os.environ["PEER_DATABASE_URL"])


async def insert(
    connection: "asyncpg.Connection[asyncpg.Record]", places: Sequence[Place], answers: Sequence[Answer]
) -> None:
    """All or none of the rows."""
    rows = [
        (*place, answer["predicted_class"], answer["probability"])
        for place, answer in zip(places, answers, strict=True)
    ]
    await connection.executemany(_INSERT, rows)
