"""How a program is made to end with us, also when we are killed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from signal import Signals


@dataclass(frozen=True)
class Account:
    """The user and the group that a program runs as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Guarded:
    """A command that ends with us, and the open files that it needs for that."""

    command: list[str]
    descriptors: tuple[int, ...] = ()


@contextmanager
def guard(command: Sequence[str], death_signal: Signals, account: Account | None) -> Iterator[Guarded]:
    """The command to start instead; keep the context open for as long as the program may live.

    Linux: the kernel sends `death_signal` when the *thread* that started the program ends, so use one that stays.
    Elsewhere, or without a `setpriv` that can set this: a supervisor that notices that our end of a pipe is closed.
    """
    if has_setpriv():
        identity = ["--reuid", str(account.uid), "--regid", str(account.gid), "--clear-groups"] if account else []
        yield Guarded(["setpriv", *identity, "--pdeathsig", death_signal.name.removeprefix("SIG"), "--", *command])
        return
    supervisor = Path(__file__).with_name("supervisor.py")
    user = f"{account.uid}:{account.gid}" if account else "-"
    reading, writing = os.pipe()
    try:
        watch = [sys.executable, "-I", str(supervisor), str(reading), str(int(death_signal)), user]
        yield Guarded([*watch, *command], (reading,))
    finally:
        os.close(reading)
        os.close(writing)


@cache
def has_setpriv() -> bool:
    """Whether there is a `setpriv` that can set the parent-death signal (BusyBox has one that cannot)."""
    found = shutil.which("setpriv")
    return (
        found is not None
        and subprocess.run([found, "--pdeathsig", "KILL", "true"], capture_output=True, check=False).returncode == 0
    )
