"""A PostgreSQL that a test may stop, kill and freeze; it comes back on the same port with what was committed."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from embedded.postgres import Postgres, run_postgres
from tests.faults import process_trees

CONNECT_S = 10


class Database:
    """Made by `run_database`, and then running."""

    def __init__(self, data_dir: Path, *, durable: bool) -> None:
        self.url = ""
        self.port = 0
        self._data_dir = data_dir
        self._durable = durable
        self._running: tuple[Postgres, AsyncExitStack] | None = None
        self._frozen: list[int] = []

    async def start(self) -> None:
        """Start it after `stop` or `kill`; returns when it accepts connections."""
        assert self._running is None
        async with AsyncExitStack() as started:
            postgres = await started.enter_async_context(run_postgres(self._data_dir, durable=self._durable))
            self._running = postgres, started.pop_all()
        assert self.url in ("", postgres.url), "another program took the port meanwhile"
        self.url = postgres.url
        self.port = int(conninfo_to_dict(postgres.url)["port"] or 0)

    async def stop(self) -> None:
        """A fast shutdown: transactions are rolled back, connections ended."""
        await self.resume()
        if self._running is not None:
            (_, running), self._running = self._running, None
            await running.aclose()

    async def kill(self) -> None:
        """SIGKILL to the server and every process of it."""
        if self._running is not None:
            postgres, _ = self._running
            process_trees.kill(postgres.child.pid)
            await postgres.child.ended()
            await self.stop()

    async def pause(self) -> None:
        """SIGSTOP to all of it: connections stay open, nothing answers."""
        assert self._running is not None
        self._frozen = process_trees.freeze(self._running[0].child.pid)

    async def resume(self) -> None:
        """The end of `pause`."""
        frozen, self._frozen = self._frozen, []
        process_trees.thaw(frozen)

    async def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run one statement as superuser on a connection of its own, outside a transaction; its rows, if it has any."""
        async with await psycopg.AsyncConnection.connect(
            self.url, autocommit=True, connect_timeout=CONNECT_S
        ) as connection:
            found = await connection.execute(sql)
            return await found.fetchall() if found.description else []


@asynccontextmanager
async def run_database(
    data_dir: Path, *, durable: bool = True, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Database]:
    """A database on the data in `data_dir`, ended with the context. `settings` are those of postgresql.conf.

    Without `durable` commits do not wait for the disk, and `kill` may lose the last ones.
    """
    database = Database(data_dir, durable=durable)
    try:
        await database.start()
        for name, value in (settings or {}).items():
            await database.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        if settings:
            await database.stop()
            await database.start()
        yield database
    finally:
        await database.stop()
