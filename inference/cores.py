"""How many cores this process may use: CPU affinity and the cgroup's quota, whichever is less."""

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """At least 1. A quota of 2.5 CPUs gives 2: a third thread would be throttled half of the time."""
    quota = _quota(cgroups, membership)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def engine_threads(wanted: int) -> int:
    """Threads of one forward pass on the CPU: SCORER_THREADS, or where it is 0 one for each usable core."""
    return wanted or usable_cores()


def _quota(cgroups: Path, membership: Path) -> float | None:
    """Least quota, in CPUs, of our cgroup (version 2) and those above it; None where there is none."""
    try:
        lines = membership.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    ours = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    if ours is None:
        return None
    group = cgroups / ours
    quotas = [_read(folder / "cpu.max") for folder in (group, *group.parents) if folder.is_relative_to(cgroups)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _read(cpu_max: Path) -> float | None:
    """`cpu.max` holds "<quota> <period>" in microseconds, or "max <period>"."""
    try:
        quota, period = cpu_max.read_text(encoding="ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError):
        return None
