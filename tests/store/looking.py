"""Reads tables, and waits for what can be seen in them."""

from typing import LiteralString

import psycopg
from psycopg.rows import DictRow

from tests.waiting import eventually


async def rows(connection: psycopg.AsyncConnection[DictRow], query: LiteralString, *values: object) -> list[DictRow]:
    return await (await connection.execute(query, values)).fetchall()


async def until_blocked(connection: psycopg.AsyncConnection[DictRow], pid: int) -> None:
    """Somebody waits for what the backend `pid` holds."""

    async def blocked() -> bool:
        query = "SELECT pid FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
        return bool(await rows(connection, query, pid))

    await eventually(blocked, "a transaction that waits for the other one")
