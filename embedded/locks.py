"""One process at a time in a directory."""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from errors import CommandFailed, UsageError

DYING_S = 15.0
POLL_S = 0.05


@asynccontextmanager
async def own_directory(directory: Path) -> AsyncIterator[int]:
    """Make the directory and keep every other process out of it; yields the lock's descriptor.

    Children that inherit the descriptor hold the lock too. So whoever gets it knows that nothing of an earlier,
    killed run is left; while such children are still ending this waits for them.
    UsageError when the directory cannot be used, CommandFailed naming the process that has it.
    """
    descriptor = _made(directory)
    try:
        await _acquire(descriptor, directory)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        try:
            yield descriptor
        finally:
            os.ftruncate(descriptor, 0)  # whoever finds it locked from now on waits for children, not for us
    finally:
        os.close(descriptor)


@asynccontextmanager
async def take_turns(path: Path) -> AsyncIterator[None]:
    """Wait, for as long as it takes, until no other process is inside."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _try_lock(descriptor):  # noqa: ASYNC110  (another process cannot set an event of ours)
            await asyncio.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


def _made(directory: Path) -> int:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"the data directory {directory} cannot be used: {error.strerror}") from error


async def _acquire(descriptor: int, directory: Path) -> None:
    deadline = time.monotonic() + DYING_S
    while not _try_lock(descriptor):
        holder = os.pread(descriptor, 20, 0).decode(errors="replace")
        if _is_alive(holder):
            raise CommandFailed(
                f"{directory} is in use by process {holder}: stop that one, or set SCORER_DATA_DIR to another directory"
            )
        if time.monotonic() > deadline:
            earlier = f"process {holder}, which is gone" if holder else "an earlier run"
            raise CommandFailed(
                f"{directory} is still in use by children of {earlier}: "
                "end them, or set SCORER_DATA_DIR to another directory"
            )
        await asyncio.sleep(POLL_S)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: str) -> bool:
    if not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
