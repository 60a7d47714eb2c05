"""Who runs below whom on this machine, and what each has used of the processors, as Linux's /proc tells."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Entry:
    """One process."""

    parent: int
    ticks: int
    """Of processor time so far: its own, and that of the children it has waited for."""
    ended: bool
    """It is a zombie: nobody has waited for it yet."""


def read(proc: Path = PROC) -> dict[int, Entry]:
    """All processes, by pid. Those that end meanwhile are left out: their parent has their time now. Raises OSError."""
    found = {}
    for folder in proc.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                found[int(folder.name)] = _entry((folder / "stat").read_text(encoding="ascii", errors="replace"))
    return found


def tree(table: Mapping[int, Entry], pid: int) -> list[int]:
    """The process, then everything below it, parents first."""
    children: dict[int, list[int]] = {}
    for one, entry in table.items():
        children.setdefault(entry.parent, []).append(one)
    found = [pid]
    for one in found:
        found.extend(children.get(one, []))
    return found


def ticks(table: Mapping[int, Entry], pid: int) -> int:
    """Of the process and everything below it; 0 where it is gone."""
    return sum(table[one].ticks for one in tree(table, pid) if one in table)


def _entry(stat: str) -> Entry:
    fields = stat.rpartition(")")[2].split()  # a name may hold anything, brackets too
    return Entry(int(fields[1]), sum(map(int, fields[11:15])), fields[0] == "Z")
