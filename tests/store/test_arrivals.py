"""Whoever waits for scores is woken by them, also after a lost connection."""

import asyncio

import psycopg
from psycopg.rows import DictRow
from pydantic import SecretStr

from settings import StoreSettings
from store.store import Store, open_store
from telemetry import Metrics
from tests.store.line import open_line
from tests.store.looking import rows
from tests.store.makers import dead_letter, score
from tests.waiting import eventually

Sql = psycopg.AsyncConnection[DictRow]


async def test_scores_written_elsewhere_wake_all_who_wait(store: Store, settings: StoreSettings) -> None:
    async with (
        open_store(settings, Metrics(), start_timeout_s=10) as other,
        store.arrivals() as first,
        store.arrivals() as second,
    ):
        assert await first(10)
        assert await second(10)
        await other.write([score(1)], [])
        assert all(await asyncio.gather(first(10), second(10)))


async def test_news_between_two_waits_are_not_missed(store: Store) -> None:
    async with store.arrivals() as wait:
        assert await wait(10)
        await store.write([score(1)], [])
        await asyncio.sleep(0.1)
        assert await wait(10)
        assert not await wait(0.05)


async def test_nobody_is_woken_for_nothing(store: Store) -> None:
    async with store.arrivals() as wait:
        assert await wait(10)
        await store.write([], [dead_letter(1)])
        await store.write([score(2)], [])
        assert await wait(10)
        await store.write([score(2)], [])
        assert not await wait(0.2)


async def test_another_schema_is_not_heard(store: Store, postgres_url: str) -> None:
    from store.migrations import migrate

    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute("CREATE SCHEMA IF NOT EXISTS beside")
        url = f"{postgres_url}?options=-csearch_path%3Dbeside"
        await asyncio.to_thread(migrate, url, timeout_s=10)
        try:
            async with (
                open_store(StoreSettings(database_url=SecretStr(url)), Metrics(), start_timeout_s=10) as other,
                store.arrivals() as wait,
            ):
                assert await wait(10)
                assert (await other.write([score(1)], [])).outcomes == ("scored",)
                assert not await wait(0.2)
        finally:
            await connection.execute("DROP SCHEMA beside CASCADE")


async def test_a_lost_connection_is_made_again_and_wakes_everybody(migrated_url: str) -> None:
    async with open_line(migrated_url) as line:
        settings = StoreSettings(database_url=SecretStr(line.url))
        async with open_store(settings, Metrics(), start_timeout_s=10) as store, store.arrivals() as wait:
            assert await wait(10)
            await line.cut()
            assert not await wait(0.1)
            await line.up()
            assert await wait(10)
            await store.write([score(1)], [])
            assert await wait(10)


async def test_one_connection_listens_for_all_and_ends_with_the_store(settings: StoreSettings, sql: Sql) -> None:
    async def listeners() -> int:
        query = """
            SELECT FROM pg_stat_activity
            WHERE query LIKE 'LISTEN %%' AND backend_start >= (
                SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
        """
        return len(await rows(sql, query))

    async def nobody_listens() -> bool:
        return await listeners() == 0

    async with open_store(settings, Metrics(), start_timeout_s=10) as store:
        async with store.arrivals() as first, store.arrivals() as second:
            assert all(await asyncio.gather(first(10), second(10)))
            assert await listeners() == 1
        async with store.arrivals() as third:
            await store.write([score(1)], [])
            assert await third(10)
            assert await listeners() == 1
    await eventually(nobody_listens, "no connection that listens")
