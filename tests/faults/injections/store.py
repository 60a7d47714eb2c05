"""Faults of PostgreSQL."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import psycopg

from tests.faults.world import Blow, World
from tests.waiting import eventually

COMMIT = b"COMMIT\0"
"""As the statement stands on the line; the word alone is also in `READ COMMITTED`."""
_CUTS = 2
_FULL = """
CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'no space left, on purpose' USING ERRCODE = '53100';
END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON scores EXECUTE FUNCTION full_disk();
CREATE TRIGGER full_disk BEFORE INSERT ON dead_letters EXECUTE FUNCTION full_disk()
"""
_NOT_FULL = "DROP TRIGGER IF EXISTS full_disk ON scores; DROP TRIGGER IF EXISTS full_disk ON dead_letters"


async def stop(world: World) -> Blow:
    """A fast shutdown; it comes back after some seconds, or at once."""
    return await _gone(world, world.ground.database.stop, world.ground.database.start)


async def kill(world: World) -> Blow:
    """SIGKILL to the server and its processes; it comes back through its log."""
    return await _gone(world, world.ground.database.kill, world.ground.database.start)


async def freeze(world: World) -> Blow:
    """SIGSTOP: connections stay open, nothing answers."""
    return await _gone(world, world.ground.database.pause, world.ground.database.resume)


async def cut_commit(world: World) -> Blow:
    """The connection breaks in the middle of COMMIT: the server may have seen it, the client cannot know."""
    line = world.ground.database_line
    began_s, before = time.time(), line.cuts
    line.cut_at(COMMIT, deliver=world.choose.random() < 0.5, times=_CUTS)
    await eventually(lambda: line.cuts >= before + _CUTS, "commits were cut", within_s=60)
    return Blow.since(began_s)


async def read_only(world: World) -> Blow:
    """Every write is refused."""
    began_s = time.time()
    await world.ground.database.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    await world.ground.database.execute("SELECT pg_reload_conf()")
    await asyncio.sleep(world.seconds(2, 5))
    await world.ground.database.execute("ALTER SYSTEM RESET default_transaction_read_only")
    await world.ground.database.execute("SELECT pg_reload_conf()")
    return Blow.since(began_s)


async def disk_full(world: World) -> Blow:
    """Every insert fails as on a full disk."""
    began_s = time.time()
    await world.ground.database.execute(_FULL)
    await asyncio.sleep(world.seconds(2, 5))
    await world.ground.database.execute(_NOT_FULL)
    return Blow.since(began_s)


async def slow_statements(world: World) -> Blow:
    """Every statement on the scores takes five seconds."""
    began_s = time.time()
    async with await psycopg.AsyncConnection.connect(world.ground.database.url) as connection:
        await connection.execute("LOCK TABLE scores IN ACCESS EXCLUSIVE MODE")
        await asyncio.sleep(5)
    return Blow.since(began_s)


async def _gone(world: World, leave: Callable[[], Awaitable[None]], come_back: Callable[[], Awaitable[None]]) -> Blow:
    began_s = time.time()
    await leave()
    await asyncio.sleep(world.choose.choice((0.0, world.seconds(1, 5))))
    await come_back()
    return Blow.since(began_s)
