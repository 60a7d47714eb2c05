"""`embedded`: a broker and a database on this machine, in the foreground; and how every command starts them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cli.lifecycle import run_until_signal, starting
from cli.options import with_settings
from cli.output import line
from settings import Settings

if TYPE_CHECKING:
    from cli.progress import Advance
    from embedded.kafka import Kafka
    from embedded.postgres import Postgres
    from embedded.programs import Child


@with_settings("data_dir", "cache_dir", "maven_mirror", "start_timeout_s", logs="info")
def embedded(settings: Settings) -> int:
    """Run a Kafka broker and a PostgreSQL here until Ctrl-C.

    Their data stays for the next time. Neither topics nor tables are made. Prints the two settings by which the other
    commands find them.
    """
    return run_until_signal(lambda stop: _embedded(settings, stop))


async def _embedded(settings: Settings, stop: asyncio.Event) -> int:
    async with AsyncExitStack() as stack:
        async with starting(stop):
            postgres = await stack.enter_async_context(running_postgres(settings))
            kafka = await stack.enter_async_context(running_kafka(settings))
        line(f"SCORER_KAFKA_BOOTSTRAP_SERVERS={kafka.bootstrap_servers}")
        line(f"SCORER_DATABASE_URL={postgres.url}")
        async with asyncio.TaskGroup() as tasks:
            watching = [tasks.create_task(watch(child)) for child in (postgres.child, kafka.child)]
            await stop.wait()
            for task in watching:
                task.cancel()
    return 0


async def watch(child: "Child") -> None:
    """Raises CommandFailed, with the end of its log, once a broker or database has ended by itself."""
    raise child.failure(await child.ended())


@asynccontextmanager
async def running_kafka(settings: Settings, *, fresh: bool = False) -> "AsyncIterator[Kafka]":
    """The embedded broker on its data in `data_dir`; its jars are fetched first, with a progress bar."""
    from embedded.kafka import run_kafka

    jars = await _jars(settings)
    async with run_kafka(settings.data_dir, jars, fresh=fresh, start_timeout_s=settings.start_timeout_s) as kafka:
        yield kafka


@asynccontextmanager
async def running_postgres(settings: Settings, *, fresh: bool = False) -> "AsyncIterator[Postgres]":
    """The embedded database on its data in `data_dir`."""
    from embedded.postgres import run_postgres

    async with run_postgres(settings.data_dir, fresh=fresh, start_timeout_s=settings.start_timeout_s) as postgres:
        yield postgres


async def _jars(settings: Settings) -> Path:
    from cli.progress import progress
    from embedded.jars import fetch_jars

    with ExitStack() as stack:
        advance: Advance | None = None
        before = 0

        def on_jar(done: int, of: int) -> None:
            nonlocal advance, before
            # Only now is it known that there is something to fetch.
            if advance is None:
                advance = stack.enter_context(progress("fetching Kafka", lambda: of, unit="jars"))
            advance(done - before)
            before = done

        return await fetch_jars(settings.cache_dir, settings.maven_mirror, on_jar)
