"""Signals to a program and everything that it has started."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def freeze(root: int) -> list[int]:
    """SIGSTOP the process `root` and all below it; their ids, parents first."""
    stopped: list[int] = []
    waiting = [root]
    while waiting:
        pid = waiting.pop(0)
        # Stopped before its children are listed, it cannot start another one meanwhile.
        _send(pid, signal.SIGSTOP)
        stopped.append(pid)
        waiting += _children(pid)
    return stopped


def thaw(pids: list[int]) -> None:
    """SIGCONT, the youngest first: parents find their children at work."""
    for pid in reversed(pids):
        _send(pid, signal.SIGCONT)


def kill(root: int) -> None:
    """SIGKILL the process `root` and all below it; none of them has time to do anything about it."""
    for pid in freeze(root):
        _send(pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    """Ids of the processes that any thread of `pid` has started; none where it is gone."""
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
