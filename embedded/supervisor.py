"""Run a program and end it when the process that started us ends (where the kernel cannot do that).

`python supervisor.py PIPE DEATH_SIGNAL USER program arguments...`: PIPE is a descriptor whose other end the starter
holds, DEATH_SIGNAL a number, USER `uid:gid` or `-`. SIGTERM, SIGINT and SIGQUIT are passed on; the exit code is the
program's. It is run as a file of its own and imports nothing of ours.
"""

import os
import signal
import subprocess
import sys
import threading
from types import FrameType

GRACE_S = 10.0


def main(arguments: list[str]) -> int:
    """Run until the program has ended."""
    pipe, death_signal, user, *command = arguments
    os.set_inheritable(int(pipe), False)
    uid, _, gid = user.partition(":")
    child = (
        subprocess.Popen(command, close_fds=False)
        if user == "-"
        else subprocess.Popen(command, close_fds=False, user=int(uid), group=int(gid), extra_groups=[])
    )

    def pass_on(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, pass_on)
    threading.Thread(target=_end_with, args=(int(pipe), child, int(death_signal)), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _end_with(pipe: int, child: "subprocess.Popen[bytes]", death_signal: int) -> None:
    while os.read(pipe, 1):
        pass  # nobody writes: it returns empty when the other end is gone
    child.send_signal(death_signal)
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
