"""What a PostgreSQL server writes about itself into its data directory."""

import asyncio
import subprocess
from contextlib import suppress
from pathlib import Path

PID_FILE = "postmaster.pid"
PID_LINE, STATUS_LINE = 0, 7
PAUSE_S = 0.02


async def accepts_connections(data: Path) -> None:
    """Return once the server has written that it is ready (what `pg_ctl --wait` looks at)."""
    while _line(data, STATUS_LINE) != "ready":  # noqa: ASYNC110  (another process cannot set an event of ours)
        await asyncio.sleep(PAUSE_S)


def forget_dead_server(data: Path) -> None:
    """Remove the pid file of a server that was killed: another process that has its pid by now would keep us out.

    Ours are gone when the directory is locked. One that somebody runs by hand is left alone, and PostgreSQL says no.
    """
    pid = _line(data, PID_LINE)
    if pid is None or not _is_postgres(pid):
        (data / PID_FILE).unlink(missing_ok=True)


def _line(data: Path, number: int) -> str | None:
    with suppress(FileNotFoundError, IndexError):
        return (data / PID_FILE).read_text(encoding="utf-8").splitlines()[number].strip()
    return None


def _is_postgres(pid: str) -> bool:
    if Path("/proc/self/comm").exists():
        name = Path("/proc", pid, "comm")
        return name.exists() and name.read_text(encoding="utf-8").strip() == "postgres"
    status = subprocess.run(["ps", "-o", "comm=", "-p", pid], capture_output=True, text=True, check=False)
    return Path(status.stdout.strip()).name == "postgres"
