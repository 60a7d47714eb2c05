"""What else kept the machine busy meanwhile: figures that were taken beside somebody else's work mean little."""

import os
from dataclasses import dataclass
from pathlib import Path

TRUSTED = 0.05
"""Share of the machine that others may have without spoiling what was measured."""
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Clock:
    """Ticks since the machine's start: of all its processors, and what of them was spent."""

    passed: int
    spent: int
    """By anybody's processes, those of another guest of the hardware included."""
    ours: int
    """By this process and all below it, those that have ended included."""


def look(proc: Path = _PROC) -> Clock | None:
    """None where the system does not tell (Linux does)."""
    try:
        user, nice, system, idle, waiting, _irq, _softirq, stolen = _numbers(proc / "stat")[:8]
        parents = {int(folder.name): _stat(folder) for folder in proc.iterdir() if folder.name.isdigit()}
    except (OSError, ValueError):
        return None
    family, size = {os.getpid()}, 0
    while len(family) > size:
        size = len(family)
        family |= {pid for pid, (parent, _) in parents.items() if parent in family}
    spent = user + nice + system + stolen
    ours = sum(parents[pid][1] for pid in family if pid in parents)
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


def _stat(folder: Path) -> tuple[int, int]:
    """Parent, and ticks of the process and of its children that it has waited for."""
    try:
        fields = (folder / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0, 0  # it has ended since
    return int(fields[1]), sum(map(int, fields[11:15]))
