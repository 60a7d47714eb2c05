"""migrate: once, by whoever comes first, in the schema that the URL names."""

import multiprocessing
import re
import time
from pathlib import Path
from typing import LiteralString

import alembic.command
import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg.conninfo import make_conninfo

import store.migrations
from errors import DependencyAway, UsageError
from store.migrations import HEAD, migrate

TABLES = {"scores", "scores_latest", "models", "dead_letters", "audit", "consumer_groups", "streamscorer_schema"}
ALL = ["0001", "0002", "0003"]
OLD_ROW: LiteralString = """
INSERT INTO dead_letters (cluster, topic, partition, "offset", record_time, reason, message, headers, delivery_count)
VALUES ('c', 't', 0, 0, now(), 'InvalidEvent', '', '[]', 1)
"""


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
        )
        return {name for (name,) in found}


def test_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(store.migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_everything_is_made_in_the_schema_of_the_url_and_a_second_run_does_nothing(database_url: str) -> None:
    assert migrate(database_url, timeout_s=10) == ALL
    assert tables(database_url) == TABLES
    assert migrate(database_url, timeout_s=10) == []


def test_a_schema_behind_ours_in_the_search_path_is_left_alone(migrated_url: str, postgres_url: str) -> None:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        (behind,) = connection.execute("SELECT current_schema()").fetchone() or ("",)
        front = f"{behind}_front"
        connection.execute(f'CREATE SCHEMA "{front}"')
        try:
            assert migrate(f"{postgres_url}?options=-csearch_path%3D{front},{behind}", timeout_s=10) == ALL
            assert tables(f"{postgres_url}?options=-csearch_path%3D{front}") == TABLES
        finally:
            connection.execute(f'DROP SCHEMA "{front}" CASCADE')


def test_four_processes_at_once_migrate_once(database_url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        applied = pool.starmap(_migrate, [(database_url,)] * 4)
    assert sorted(applied) == [[], [], [], ALL]
    assert tables(database_url) == TABLES


def _migrate(url: str) -> list[str]:
    return migrate(url, timeout_s=30)


def test_a_rival_that_never_ends_is_named_after_the_deadline(database_url: str) -> None:
    with psycopg.connect(database_url) as rival:
        rival.execute("SELECT pg_advisory_lock(hashtext('streamscorer migrations'), hashtext(current_schema()))")
        with pytest.raises(DependencyAway, match="another process has been migrating"):
            migrate(database_url, timeout_s=0.2)


def test_a_failure_leaves_nothing_behind(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE audit (in_the_way int)")
    with pytest.raises(psycopg.errors.DuplicateTable):
        migrate(database_url, timeout_s=10)
    assert tables(database_url) == {"audit"}


def test_a_database_of_the_first_version_keeps_its_rows(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = alembic.command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr(alembic.command, "upgrade", lambda config, _: upgrade(config, "0001"))
        migrate(database_url, timeout_s=10)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(OLD_ROW)
        assert tables(database_url) == TABLES - {"consumer_groups"}
        assert migrate(database_url, timeout_s=10) == ALL[1:]
        assert tables(database_url) == TABLES
        assert connection.execute("SELECT topic, reason, origin FROM dead_letters").fetchall() == [
            ("t", "InvalidEvent", None)
        ]


def test_a_newer_schema_is_left_alone(migrated_url: str) -> None:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute("UPDATE streamscorer_schema SET version_num = '9999'")
    with pytest.raises(UsageError, match=rf"is at 9999, newer than .* \({HEAD}\): install the newer one"):
        migrate(migrated_url, timeout_s=10)


def test_an_away_server_is_named_without_the_password() -> None:
    began = time.monotonic()
    with pytest.raises(DependencyAway) as caught:
        migrate("postgresql://someone:s3cret@127.0.0.1:1/scores", timeout_s=0.3)
    assert "127.0.0.1:1/scores (SCORER_DATABASE_URL) did not answer within 0.3 s" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert 0.25 < time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password": "wr0ng"}, "password authentication failed"),
        ({"dbname": "no_such_database"}, "database .no_such_database. does not exist"),
        ({"options": "-csearch_path=no_such_schema"}, "names no schema that exists"),
    ],
)
def test_what_waiting_cannot_mend_ends_at_once(postgres_url: str, change: dict[str, str], message: str) -> None:
    began = time.monotonic()
    with pytest.raises(UsageError, match=message) as caught:
        migrate(make_conninfo(postgres_url, **change), timeout_s=30)
    assert "wr0ng" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 20


def test_a_user_without_permission_is_told_which(database_url: str, postgres_url: str) -> None:
    role = f"poor_{abs(hash(database_url))}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'poor'")
    try:
        schema = re.findall(r"search_path(?:%3D|=)(\w+)", database_url)[0]
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        poor = make_conninfo(database_url, user=role, password="poor")
        with pytest.raises(UsageError, match="permission denied for schema"):
            migrate(poor, timeout_s=10)
    finally:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


def test_rows_of_another_server_are_renumbered(migrated_url: str) -> None:
    """A restored dump brings transaction numbers that are ahead of the new server's."""
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute(OLD_ROW)
        connection.execute("UPDATE dead_letters SET xact = '900000000000'")
        assert migrate(migrated_url, timeout_s=10) == []
        assert connection.execute(
            "SELECT xact < pg_snapshot_xmax(pg_current_snapshot()) FROM dead_letters"
        ).fetchall() == [(True,)]
