"""open_store: waits for the server, and says in one line what waiting cannot mend."""

import asyncio
import subprocess
import sys

import psycopg
import pytest
from pydantic import SecretStr

from errors import DependencyAway, UsageError
from settings import StoreSettings
from store.migrations import HEAD
from store.store import open_store
from telemetry import Metrics
from tests.store.line import open_line


async def start(url: str | None, timeout_s: float = 10) -> None:
    settings = StoreSettings(database_url=None if url is None else SecretStr(url))
    async with open_store(settings, Metrics(), start_timeout_s=timeout_s) as store:
        await store.ping()


async def test_a_schema_never_migrated_names_the_command(database_url: str) -> None:
    with pytest.raises(UsageError, match="has no tables of ours: run `streamscorer migrate`"):
        await start(database_url)


@pytest.mark.parametrize(
    ("revision", "mend"), [("0000", "run `streamscorer migrate`"), ("9999", "install that version of streamscorer")]
)
async def test_a_schema_behind_or_ahead_names_both_revisions(migrated_url: str, revision: str, mend: str) -> None:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute("UPDATE streamscorer_schema SET version_num = %s", [revision])
    with pytest.raises(UsageError, match=f"database schema is at {revision}, this version needs {HEAD}: {mend}"):
        await start(migrated_url)


async def test_restored_rows_name_the_command(migrated_url: str) -> None:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute(
            'INSERT INTO dead_letters (cluster, topic, partition, "offset", record_time, reason, message, headers, '
            "delivery_count, xact) VALUES ('c', 't', 0, 0, now(), 'InvalidEvent', '', '[]', 1, '900000000000')"
        )
    with pytest.raises(UsageError, match=r"restored from a dump .* run `streamscorer migrate`"):
        await start(migrated_url)


async def test_a_missing_url_is_named() -> None:
    with pytest.raises(UsageError, match="SCORER_DATABASE_URL is not set"):
        await start(None)


@pytest.mark.parametrize(
    "url", ["postgresql://user:s3cret@[", "postgresql://user:s3cret%zz@host/db", "postgresql://h/d?s3cret=1"]
)
async def test_an_unreadable_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(UsageError, match="SCORER_DATABASE_URL cannot be read") as caught:
        await start(url)
    assert "s3cret" not in str(caught.value)


async def test_an_unescaped_at_sign_in_the_password_is_named_and_not_shown() -> None:
    with pytest.raises(UsageError, match="write it as %40") as caught:
        await start("postgresql://user:s3c@ret@host/db")
    assert "ret" not in str(caught.value)


async def test_an_away_server_is_given_up_after_the_deadline() -> None:
    with pytest.raises(DependencyAway, match=r"127.0.0.1:1/scores \(SCORER_DATABASE_URL\) did not answer within 0.2 s"):
        await start("postgresql://user:s3cret@127.0.0.1:1/scores", timeout_s=0.2)


async def test_a_server_that_comes_late_is_waited_for(migrated_url: str) -> None:
    async with open_line(migrated_url) as line:
        await line.cut()
        starting = asyncio.create_task(start(line.url))
        done, _ = await asyncio.wait([starting], timeout=0.3)
        assert not done
        await line.up()
        await starting


def test_a_start_loads_neither_alembic_nor_sqlalchemy() -> None:
    code = "import sys, store.store, store.migrations; sys.exit(bool({'alembic', 'sqlalchemy'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
