"""A real PostgreSQL as a child of ours: made once, on the same port with the same password at every start."""

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from embedded.files import place, scratch_directory, set_aside, write_whole
from embedded.locks import own_directory
from embedded.ports import keep_ports
from embedded.postgres_binaries import account_for, binaries_for
from embedded.postgres_programs import USER, PostgresPrograms
from embedded.postmaster import accepts_connections, forget_dead_server
from embedded.programs import Child, ready, run_to_end, running
from errors import CommandFailed
from telemetry import logger

DATABASE = "streamscorer"

log = logger("embedded")


@dataclass(frozen=True)
class Postgres:
    """A server that accepts connections."""

    url: str
    """postgresql://user:password@host:port/database"""
    child: Child


@asynccontextmanager
async def run_postgres(
    data_dir: Path, *, fresh: bool = False, durable: bool = True, start_timeout_s: float = 60.0
) -> AsyncIterator[Postgres]:
    """Run a server on the data in `data_dir`/postgres, with a database of ours; stopped at the end of the context.

    `fresh` forgets the data of earlier runs first. `durable=False` does not wait for the disk: quicker, for data that
    need not outlive a crash of the machine.
    Start it from a thread that lives as long as the server shall (see `guards.py`).
    CommandFailed when the directory is in use, there are no binaries, or the server ends; DependencyAway after the
    timeout.
    """
    began = time.monotonic()
    home = place(data_dir, "postgres")
    data = home / "data"
    async with own_directory(home) as lock:
        if fresh:
            shutil.rmtree(data, ignore_errors=True)
        account = account_for(data)
        binaries = await asyncio.to_thread(binaries_for, account)
        programs = PostgresPrograms(binaries / "bin", home, account, lock, durable)
        port = keep_ports(home / "ports.json", ("postgresql",))["postgresql"]
        if not _is_made(data):
            await _make(home, programs)
        elif account is not None and data.stat().st_uid != account.uid:
            programs.hand_over(data, *data.rglob("*"))  # root has copied it here
        password = _password(home)
        forget_dead_server(data)
        with programs.server(data, port) as server:
            async with running(server) as child:
                await ready(child, accepts_connections(data), start_timeout_s)
                log.info("postgresql is ready", address=f"127.0.0.1:{port}", seconds=round(time.monotonic() - began, 1))
                yield Postgres(f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}", child)


def _is_made(data: Path) -> bool:
    return all((data / name).exists() and (data / name).stat().st_size for name in ("PG_VERSION", "global/pg_control"))


async def _make(home: Path, programs: PostgresPrograms) -> None:
    """Make the data directory beside its place and rename it: it is there as a whole or not at all."""
    if (home / "data").exists():
        set_aside(home / "data")
    if not _password_file(home).exists():
        write_whole(_password_file(home), secrets.token_urlsafe(24))
    with scratch_directory(home, "making-") as scratch:
        (scratch / "password").write_text(_password(home), encoding="ascii")
        (scratch / "sql").write_text(f"CREATE DATABASE {DATABASE};\n", encoding="ascii")
        programs.hand_over(scratch, scratch / "password")
        with programs.initdb(scratch) as initdb:
            await run_to_end(initdb)
        with programs.single_user(scratch / "data", scratch / "sql") as single_user:
            await run_to_end(single_user)
        (scratch / "data").rename(home / "data")


def _password(home: Path) -> str:
    try:
        return _password_file(home).read_text(encoding="ascii")
    except OSError as error:
        raise CommandFailed(
            f"the database's password cannot be read from {_password_file(home)} ({error.strerror}): "
            f"bring the file back, or remove {home} to begin with an empty database"
        ) from error


def _password_file(home: Path) -> Path:
    return home / "password"
