"""Looks at offsets and tables all through a run, and puts the run's history together at its end."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import psycopg
from aiokafka.errors import KafkaError

from tests.faults.history import Answer, History, Place, Sample, Sent
from tests.faults.reading import (
    Where,
    read_cluster_id,
    read_committed,
    read_ends,
    read_rows,
    read_topic,
)

_LOOK_S = 8.0
_EVERY_S = 1.0


class Sampler:
    """Offsets first, then the tables: whatever lies below an offset must be decided by what the tables show after it.

    A look that fails, because a fault is on, is no look.
    """

    def __init__(self, where: Where) -> None:
        self._where = where
        self._since = "0"
        self.samples: list[Sample] = []
        self.seen: dict[Place, int] = {}
        """The first sample that showed a row at a place."""
        self.newest_s: dict[int, float] = {}
        """Of each partition: the transaction time of its newest row."""

        self.failure: str | None = None
        """Why the last look failed."""

    async def look(self) -> None:
        """Take one sample. Raises KafkaError, psycopg.OperationalError, OSError, TimeoutError."""
        where = self._where
        async with asyncio.timeout(_LOOK_S):
            committed = await read_committed(where.servers, where.group, where.topic)
            rows = await read_rows(where.database_url, where.topic, since=self._since)
        number = len(self.samples)
        self._since = rows.horizon
        self.samples.append(Sample(time.time(), committed))
        fresh = [(row.place, row.at_s) for row in rows.scores] + [(row.place, row.at_s) for row in rows.dead_letters]
        for place, at_s in fresh:
            self.seen.setdefault(place, number)
            self.newest_s[place[0]] = max(at_s, self.newest_s.get(place[0], 0.0))

    async def keep_looking(self) -> None:
        """Every second, until cancelled."""
        while True:
            try:
                await self.look()
                self.failure = None
            except (KafkaError, psycopg.OperationalError, OSError, TimeoutError) as error:
                self.failure = f"{type(error).__name__}: {error}"
            await asyncio.sleep(_EVERY_S)

    async def history(self, sent: Sequence[Sent], reference: Mapping[str, Answer]) -> History:
        """Everything, read again from the beginning."""
        where = self._where
        rows = await read_rows(where.database_url, where.topic)
        last = len(self.samples)
        return History(
            cluster=await read_cluster_id(where.servers),
            topic=where.topic,
            sent=sent,
            records=await read_topic(where.servers, where.topic),
            letters=await read_topic(where.servers, where.dlq_topic),
            scores=[replace(row, seen=self.seen.get(row.place, last)) for row in rows.scores],
            dead_letters=[replace(row, seen=self.seen.get(row.place, last)) for row in rows.dead_letters],
            reference=reference,
            committed=await read_committed(where.servers, where.group, where.topic),
            ends=await read_ends(where.servers, where.topic),
            samples=self.samples,
        )


@asynccontextmanager
async def sampling(where: Where) -> AsyncIterator[Sampler]:
    """Samples until the end of the block."""
    sampler = Sampler(where)
    looking = asyncio.create_task(sampler.keep_looking(), name="sampler")
    try:
        yield sampler
        if looking.done():
            looking.result()
    finally:
        looking.cancel()
        await asyncio.wait([looking])
