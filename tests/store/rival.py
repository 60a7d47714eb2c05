"""Another consumer in the middle of its transaction."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psycopg

from schemas.dead_letters import DeadLetter
from store.decisions import NewScore
from store.writing import Batch, write_once
from tests.store.makers import VERSION


class Rival:
    """Writes like the store does, and commits when it is told to."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def write(self, scores: Sequence[NewScore], letters: Sequence[DeadLetter] = ()) -> None:
        await write_once(self._connection, Batch(scores, letters, VERSION, "elsewhere"))

    async def commit(self) -> None:
        await self._connection.commit()

    async def roll_back(self) -> None:
        await self._connection.rollback()

    @property
    def pid(self) -> int:
        return self._connection.info.backend_pid


@asynccontextmanager
async def open_rival(url: str) -> AsyncIterator[Rival]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        # Begins the transaction, so that the one of `write_once` is only a part of it.
        await connection.execute("SELECT 1")
        yield Rival(connection)
