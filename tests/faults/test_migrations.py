"""A migration that fails anywhere leaves what was there before, and succeeds once the trouble is over."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from errors import DependencyAway
from store.migrations import HEAD, migrate
from tests.faults.proxy import run_proxy
from tests.kafka_tools import rows
from tests.store.test_migrations import TABLES, tables
from tests.waiting import eventually

COMMIT = b"COMMIT\0"
MOST_STATEMENTS = 100


@contextmanager
def disk_full_at(url: str, statement: int) -> Iterator[None]:
    """In the schema of `url` the n-th change of a table or index meets a full disk, and each one behind it."""
    with psycopg.connect(url, autocommit=True) as connection:
        ((schema,),) = connection.execute("SELECT current_schema()").fetchall()
        name = sql.Identifier(f"full_{schema}")
        # Sequences are not rolled back: the count goes on where the migration's transaction ends.
        connection.execute(sql.SQL("CREATE SEQUENCE {} MINVALUE 0").format(name))
        connection.execute(
            sql.SQL(
                "CREATE FUNCTION {0}() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
                " IF current_schema() = {1} AND nextval({2}) >= {3} THEN"
                " RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END IF; END $$"
            ).format(name, schema, f"{schema}.full_{schema}", statement)
        )
        connection.execute(sql.SQL("CREATE EVENT TRIGGER {0} ON ddl_command_end EXECUTE FUNCTION {0}()").format(name))
        try:
            yield
        finally:
            connection.execute(sql.SQL("DROP EVENT TRIGGER {}").format(name))
            connection.execute(sql.SQL("DROP FUNCTION {}").format(name))
            connection.execute(sql.SQL("DROP SEQUENCE {}").format(name))


def test_a_disk_that_is_full_at_any_statement_of_a_migration_leaves_nothing_behind(database_url: str) -> None:
    for statement in range(MOST_STATEMENTS):
        with disk_full_at(database_url, statement):
            try:
                applied = migrate(database_url, timeout_s=10)
            except DependencyAway as error:
                assert "no space left on device" in str(error)  # noqa: PT017  (it also ends the loop by not coming)
                assert tables(database_url) <= {f"full_{schema_of(database_url)}"}
            else:
                break
    assert applied[-1] == HEAD
    assert statement > 10
    assert tables(database_url) == TABLES


def schema_of(url: str) -> str:
    with psycopg.connect(url) as connection:
        ((schema,),) = connection.execute("SELECT current_schema()").fetchall()
    return str(schema)


@pytest.mark.parametrize("deliver", [False, True])
async def test_a_migration_that_is_cut_in_its_commit_is_whole_or_not_there(database_url: str, deliver: bool) -> None:
    port = conninfo_to_dict(database_url)["port"]
    async with run_proxy(int(port or 0)) as proxy, await psycopg.AsyncConnection.connect(database_url) as rival:
        far = database_url.replace(f":{port}/", f":{proxy.port}/")
        # Its first COMMIT is that of the lock: hold it up behind that one.
        await rival.execute("CREATE TABLE audit ()")
        migrating = asyncio.create_task(asyncio.to_thread(migrate, far, timeout_s=10))
        await eventually(partial(blocks_somebody, database_url, rival.info.backend_pid))
        proxy.cut_at(COMMIT, deliver=deliver)
        await rival.rollback()
        with pytest.raises(DependencyAway):
            await migrating
        assert proxy.cuts == 1
        assert tables(database_url) == (TABLES if deliver else set())
        assert bool(await asyncio.to_thread(migrate, far, timeout_s=10)) != deliver
    assert tables(database_url) == TABLES


async def blocks_somebody(url: str, pid: int) -> bool:
    return bool(await rows(url, f"select pid from pg_stat_activity where {pid} = any(pg_blocking_pids(pid))"))
