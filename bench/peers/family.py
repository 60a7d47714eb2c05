"""Who is below a process."""

import os
from contextlib import suppress
from pathlib import Path


def family(pid: int) -> list[int]:
    """Everything below a process that still runs, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, parent, *_ = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if state != "Z":
                    children.setdefault(int(parent), []).append(int(entry.name))
    found = list(children.get(pid, []))
    for one in found:
        found.extend(children.get(one, []))
    return found


def signal_all(pid: int, number: int) -> bool:
    """Send a signal to everything below a process; False when there is nothing."""
    below = family(pid)
    for one in below:
        with suppress(ProcessLookupError):
            os.kill(one, number)
    return bool(below)
