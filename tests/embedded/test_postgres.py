import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from embedded import postgres_binaries
from embedded.postgres import run_postgres
from embedded.postgres_binaries import find_binaries
from errors import CommandFailed
from tests.embedded.processes import is_alive
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("binaries")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run PostgreSQL as somebody else")


async def ask(url: str, query: str) -> object:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(query.encode())
        row = await cursor.fetchone() if cursor.description else None
        return row and row[0]


def owner_of(pid: int) -> int:
    return Path("/proc", str(pid)).stat().st_uid


async def test_rows_and_url_survive_a_restart_in_a_place_with_an_odd_name(tmp_path: Path) -> None:
    data_dir = tmp_path / "my dätä, für 数据 = x"
    async with run_postgres(data_dir) as first:
        assert await ask(first.url, "SELECT current_database()") == "streamscorer"
        assert str(await ask(first.url, "SHOW server_version")).startswith("18.")
        await ask(first.url, "CREATE TABLE kept AS SELECT 'ä' AS word")
        assert os.getsid(first.child.pid) != os.getsid(0)
        with pytest.raises(CommandFailed, match=f"in use by process {os.getpid()}"):
            async with run_postgres(data_dir):
                pass
        began = time.monotonic()
    assert time.monotonic() - began < 9
    async with run_postgres(data_dir) as second:
        assert second.url == first.url
        assert await ask(second.url, "SELECT word FROM kept") == "ä"


async def test_open_connections_do_not_hold_up_the_stop(tmp_path: Path) -> None:
    async with run_postgres(tmp_path, durable=False) as server:
        connection = await psycopg.AsyncConnection.connect(server.url)
        await connection.execute("SELECT 1")
        began = time.monotonic()
    assert time.monotonic() - began < 9
    await connection.close()


async def test_the_password_is_for_our_eyes_and_needed(tmp_path: Path) -> None:
    async with run_postgres(tmp_path, durable=False) as server:
        file = tmp_path / "postgres" / "password"
        password = file.read_text(encoding="ascii")
        assert password in server.url
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        with pytest.raises(psycopg.OperationalError, match="password"):
            await ask(server.url.replace(password, "guessed"), "SELECT 1")


async def test_fresh_forgets_the_rows_and_keeps_the_url(tmp_path: Path) -> None:
    async with run_postgres(tmp_path, durable=False) as first:
        await ask(first.url, "CREATE TABLE gone (id int)")
    async with run_postgres(tmp_path, durable=False, fresh=True) as second:
        assert second.url == first.url
        assert await ask(second.url, "SELECT to_regclass('gone')::text") is None


async def test_a_half_written_initdb_is_repaired_and_loses_nothing(tmp_path: Path) -> None:
    home = tmp_path / "postgres"
    (home / "making-abc" / "data").mkdir(parents=True)
    (home / "data" / "base").mkdir(parents=True)
    (home / "data" / "PG_VERSION").write_text("18\n", encoding="ascii")
    async with run_postgres(tmp_path, durable=False) as server:
        assert await ask(server.url, "SELECT 1") == 1
    assert (home / "data.broken-1" / "base").is_dir()
    assert not (home / "making-abc").exists()


async def test_a_crash_is_recovered_from_even_when_its_pid_is_taken_by_another_process(tmp_path: Path) -> None:
    async with run_postgres(tmp_path) as first:
        await ask(first.url, "CREATE TABLE kept (id int)")
        os.kill(first.child.pid, 9)
        assert await first.child.ended() != 0
    pid_file = tmp_path / "postgres" / "data" / "postmaster.pid"
    lines = pid_file.read_text(encoding="utf-8").splitlines()
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]), encoding="utf-8")
    async with run_postgres(tmp_path) as second:
        assert await ask(second.url, "SELECT to_regclass('kept')::text") == "kept"


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    async with run_postgres(tmp_path, durable=False):
        pass
    with (tmp_path / "postgres" / "data" / "postgresql.conf").open("a", encoding="ascii") as configuration:
        configuration.write("no_such_setting = 1\n")
    with pytest.raises(CommandFailed, match=r"(?s)PostgreSQL ended with exit code 1.*no_such_setting"):
        async with run_postgres(tmp_path, durable=False):
            pass


async def test_a_lost_password_is_named(tmp_path: Path) -> None:
    async with run_postgres(tmp_path, durable=False):
        pass
    (tmp_path / "postgres" / "password").unlink()
    with pytest.raises(CommandFailed, match="password cannot be read"):
        async with run_postgres(tmp_path, durable=False):
            pass


@as_root
async def test_root_runs_it_as_somebody_else_below_a_directory_that_only_root_may_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    async with run_postgres(closed / "data", durable=False) as server:
        assert await ask(server.url, "SELECT 1") == 1
        assert owner_of(server.child.pid) != 0
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
async def test_data_that_root_has_copied_is_handed_over(tmp_path: Path) -> None:
    async with run_postgres(tmp_path / "first", durable=False) as first:
        await ask(first.url, "CREATE TABLE kept (id int)")
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    async with run_postgres(tmp_path / "second", durable=False) as second:
        assert await ask(second.url, "SELECT to_regclass('kept')::text") == "kept"


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everybody may enter, as /var/cache is."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@as_root
async def test_an_installation_that_only_root_may_enter_is_copied_once(
    tmp_path: Path, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = find_binaries().parent
    closed = tmp_path / "closed"
    shutil.copytree(package / "pginstall18", closed / package.name / "pginstall18", symlinks=True)
    libraries = f"{package.name}.libs"
    shutil.copytree(package.parent / libraries, closed / libraries)
    closed.chmod(0o700)
    shelf = open_directory / "streamscorer"
    monkeypatch.setattr(postgres_binaries, "find_binaries", lambda: closed / package.name / "pginstall18")
    monkeypatch.setattr(postgres_binaries, "site_cache_path", lambda _: shelf)
    async with run_postgres(tmp_path, durable=False) as server:
        assert await ask(server.url, "SELECT 1") == 1
    (copy,) = shelf.iterdir()
    made = copy.stat().st_mtime_ns
    async with run_postgres(tmp_path, durable=False):
        pass
    assert (copy.stat().st_mtime_ns, list(shelf.iterdir())) == (made, [copy])


async def test_no_process_outlives_a_server_whose_child_is_in_the_middle_of_a_query(tmp_path: Path) -> None:
    async with run_postgres(tmp_path, durable=False) as server:
        connection = await psycopg.AsyncConnection.connect(server.url, autocommit=True)
        pid = connection.info.backend_pid
        await connection.execute("SET statement_timeout = '60s'")
    await eventually(lambda: not is_alive(pid), "the backend is gone")
    await connection.close()
