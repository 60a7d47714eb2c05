"""What else kept the machine busy meanwhile: figures that were taken beside somebody else's work mean little."""

import os
from dataclasses import dataclass
from pathlib import Path

from bench import process_table

TRUSTED = 0.05
"""Share of the machine that others may have without spoiling what was measured."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Ticks since the machine's start: of all its processors, and what of them was spent."""

    passed: int
    spent: int
    """By anybody's processes, those of another guest of the hardware included."""
    ours: int
    """By this process and all below it, those that have ended included."""


def look(proc: Path = process_table.PROC) -> Clock | None:
    """None where the system does not tell (Linux does)."""
    try:
        user, nice, system, idle, waiting, _irq, _softirq, stolen = _numbers(proc / "stat")[:8]
        ours = process_table.ticks(process_table.read(proc), os.getpid())
    except (OSError, ValueError):
        return None
    spent = user + nice + system + stolen
    return Clock(spent + idle + waiting, spent, ours)


def share(before: Clock | None, after: Clock | None) -> float | None:
    """Of the machine, between two looks; None where it is not known."""
    if before is None or after is None or after.passed <= before.passed:
        return None
    foreign = (after.spent - before.spent) - (after.ours - before.ours)
    return max(0.0, foreign / (after.passed - before.passed))


def _numbers(path: Path) -> list[int]:
    with path.open(encoding="ascii") as file:
        return [int(word) for word in file.readline().split()[1:]]
