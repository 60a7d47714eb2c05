"""PostgreSQL's programs with the arguments that we run them with, also when we are root and it must not be."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from embedded.guards import Account
from embedded.programs import Program

USER = "postgres"


@dataclass(frozen=True)
class PostgresPrograms:
    """Each gives the program to run; keep its context open while it runs.

    As root, `account` runs them, and may have no way into the directories above the data (root's home is closed).
    So we open the data directory ourselves, and the program reaches it by the descriptor that it inherits.
    """

    binaries: Path
    home: Path
    """Where logs go."""
    account: Account | None
    lock: int
    """Descriptor of the lock that the programs hold with us."""
    durable: bool

    def hand_over(self, *paths: Path) -> None:
        """Give files to the user that the programs run as."""
        if self.account is not None:
            for path in paths:
                os.chown(path, self.account.uid, self.account.gid)

    @contextmanager
    def initdb(self, directory: Path) -> Iterator[Program]:
        """Makes `directory`/data, with the password that stands in `directory`/password."""
        with self._entered(directory) as (inside, descriptors):
            options = (
                "-U",
                USER,
                "-A",
                "scram-sha-256",
                "-E",
                "UTF8",
                "--no-locale",
                *(() if self.durable else ("-N",)),
            )
            where = ("-D", f"{inside}/data", f"--pwfile={inside}/password")
            yield self._program("initdb", (*where, *options), directory, descriptors)

    @contextmanager
    def single_user(self, data: Path, sql: Path) -> Iterator[Program]:
        """Runs the statements of the file `sql`, one a line, without a server."""
        with self._entered(data) as (inside, descriptors):
            yield self._program("postgres", ("--single", "-D", inside, "postgres"), data, descriptors, sql)

    @contextmanager
    def server(self, data: Path, port: int) -> Iterator[Program]:
        """Serves 127.0.0.1:port."""
        careless = (
            () if self.durable else ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")
        )
        with self._entered(data) as (inside, descriptors):
            where = ("-D", inside, "-h", "127.0.0.1", "-p", str(port), "-c", "unix_socket_directories=")
            yield self._program("postgres", (*where, *careless), data, descriptors)

    @contextmanager
    def _entered(self, directory: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
        if self.account is None:
            yield str(directory), ()
            return
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{descriptor}", (descriptor,)
        finally:
            os.close(descriptor)

    def _program(
        self,
        name: str,
        arguments: tuple[str, ...],
        directory: Path,
        descriptors: tuple[int, ...],
        sql: Path | None = None,
    ) -> Program:
        return Program(
            name="PostgreSQL" if sql is None and name == "postgres" else f"PostgreSQL's {name}",
            command=(self.binaries / name, *arguments),
            directory=directory,
            log=self.home / ("postgresql.log" if sql is None and name == "postgres" else f"{name}.log"),
            account=self.account,
            descriptors=(self.lock, *descriptors),
            standard_input=sql,
            # Variables like PGPORT and PGOPTIONS are meant for clients of another server.
            environment={name: value for name, value in os.environ.items() if not name.startswith("PG")},
            # Fast shutdown, then immediate. That is also right when we are killed: no process stays, no data is lost.
            stop_signals=(Signals.SIGINT, Signals.SIGQUIT),
            death_signal=Signals.SIGQUIT,
        )
