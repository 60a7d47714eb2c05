"""Waiting for what happens outside of this process."""

import asyncio
import os
import time
from collections.abc import Callable


async def until(happened: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Return when it has happened; fail naming it after the timeout."""
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
