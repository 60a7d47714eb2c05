"""Reads tables, and waits for what can be seen in them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import LiteralString

import psycopg
from psycopg.rows import DictRow


async def rows(connection: psycopg.AsyncConnection[DictRow], query: LiteralString, *values: object) -> list[DictRow]:
    return await (await connection.execute(query, values)).fetchall()


async def until(condition: Callable[[], Awaitable[bool]], what: str, deadline_s: float = 10) -> None:
    end = time.monotonic() + deadline_s
    while not await condition():
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        await asyncio.sleep(0.01)


async def until_blocked(connection: psycopg.AsyncConnection[DictRow], pid: int) -> None:
    """Somebody waits for what the backend `pid` holds."""

    async def blocked() -> bool:
        query = "SELECT pid FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))"
        return bool(await rows(connection, query, pid))

    await until(blocked, "a transaction that waits for the other one")
