"""Runs a peer, and ends all of it when whoever started us is gone: `python -m bench.peers.warden COMMAND...`.

Peers move their workers to sessions of their own, where neither a signal to a group nor the kernel's parent-death
signal reaches them. The other end of our stdin is held by the one who started us.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from types import FrameType

from bench.peers.family import signal_all

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_S = 0.02


def main(command: list[str]) -> int:
    """The command's exit code, once nothing of it is left."""
    with suppress(AttributeError, OSError):  # Linux alone has it
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # orphans below us become ours
    signal.signal(signal.SIGTERM, _pass_over)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_when_alone, daemon=True).start()
    code = child.wait()
    _end_all()
    return code if code >= 0 else 128 - code


def _pass_over(_number: int, _frame: FrameType | None) -> None:
    """It is meant for those below, who get their own; SIG_IGN would be handed on to them."""


def _end_when_alone() -> None:
    while os.read(0, 1):
        pass  # nobody writes: it returns empty when the other end is gone
    _end_all()


def _end_all() -> None:
    while signal_all(os.getpid(), signal.SIGKILL):
        time.sleep(_LOOK_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
