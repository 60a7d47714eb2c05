"""Who is below a process."""

import os
from contextlib import suppress

from bench import process_table


def family(pid: int) -> list[int]:
    """Everything below a process that still runs, parents first."""
    table = process_table.read()
    return [one for one in process_table.tree(table, pid)[1:] if not table[one].ended]


def signal_all(pid: int, number: int) -> bool:
    """Send a signal to everything below a process; False when there is nothing."""
    below = family(pid)
    for one in below:
        with suppress(ProcessLookupError):
            os.kill(one, number)
    return bool(below)
