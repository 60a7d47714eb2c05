"""Processes of ours that are measured: they answer on stdout, hold still when told, and are never left behind."""

import asyncio
import math
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from pydantic import SecretStr

from bench.skipped import Skipped
from embedded.guards import guard
from errors import CommandFailed
from settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
START_S = 120.0
STOP_S = 40.0
_TAIL_BYTES = 2000
_WRONG_SETTINGS = 2
"""Exit code of a command of ours that cannot run with what it was given."""
_LINE_BYTES = 1 << 20


class Child:
    """A process in a session of its own."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._log = log

    async def line(self, begins: str, *, within_s: float = START_S) -> str:
        """The next line of its stdout that begins so.

        Raises CommandFailed when it ends first or is too slow, Skipped when it says that it cannot run with these
        settings here.
        """
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(within_s):
                while line := await self._process.stdout.readline():
                    text = line.decode(errors="replace").rstrip("\n")
                    if text.startswith(begins):
                        return text
        except TimeoutError:
            raise CommandFailed(f"{self.name} did not answer within {within_s:g} s. {self._log_end()}") from None
        raise self._failure(await self._process.wait())

    async def ask(self, request: str, *, within_s: float = 600.0) -> str:
        """Write one line to its stdin and wait for the line of JSON that answers it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{request}\n".encode())
        await self._process.stdin.drain()
        return await self.line("{", within_s=within_s)

    def pause(self) -> None:
        """Hold it still, so that it costs nothing while another has its turn."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    async def done(self, *, within_s: float) -> None:
        """Wait until it ends by itself, and well. Raises as `line`."""
        try:
            async with asyncio.timeout(within_s):
                await self._drained()
        except TimeoutError:
            raise CommandFailed(f"{self.name} did not end within {within_s:g} s. {self._log_end()}") from None
        if self._process.returncode:
            raise self._failure(self._process.returncode)

    def check(self) -> None:
        """Raises CommandFailed when it has ended by itself."""
        if self._process.returncode is not None:
            raise self._failure(self._process.returncode)

    def cpu_s(self) -> float:
        """CPU seconds that it has used so far, where the system tells (Linux); else NaN."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            return math.nan
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float | None:
        """What it has in memory now, where the system tells (Linux)."""
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), None)

    async def stop(self) -> None:
        """End it: politely, and after `STOP_S` for good."""
        self._signal(signal.SIGTERM)
        self.resume()
        try:
            async with asyncio.timeout(STOP_S):
                await self._drained()
        finally:
            self._signal(signal.SIGKILL)
            await self._process.wait()

    async def _drained(self) -> None:
        assert self._process.stdout is not None
        while await self._process.stdout.read(_LINE_BYTES):
            pass
        await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _failure(self, code: int) -> CommandFailed:
        if code == _WRONG_SETTINGS:
            lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return Skipped(lines[-1].removeprefix("streamscorer: error: ") if lines else f"{self.name}: exit code 2")
        return CommandFailed(f"{self.name} ended with exit code {code}. {self._log_end()}")

    def _log_end(self) -> str:
        text = self._log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()
        return f"The end of {self._log}:\n{text}"


@asynccontextmanager
async def start(
    module: str, arguments: Sequence[str], settings: Mapping[str, object], directory: Path
) -> AsyncIterator[Child]:
    """`python -m MODULE ARGUMENTS` with `settings` as SCORER_ variables; its stderr becomes a file in `directory`."""
    name = " ".join((module, *arguments[:1]))
    with (
        NamedTemporaryFile(dir=directory, prefix=re.sub(r"[^\w.]+", "-", name), suffix=".log", delete=False) as log,
        guard([sys.executable, "-m", module, *arguments], signal.SIGKILL, None) as guarded,
    ):
        process = await asyncio.create_subprocess_exec(
            *guarded.command, cwd=ROOT, env=environment(settings), stdin=PIPE, stdout=PIPE, stderr=log,
            limit=_LINE_BYTES, start_new_session=True, pass_fds=guarded.descriptors,
        )  # fmt: skip
        child = Child(name, process, Path(log.name))
        try:
            yield child
        finally:
            with suppress(TimeoutError):
                await child.stop()


def given(settings: Settings) -> dict[str, object]:
    """What was set, by its name: what a child must get to run alike."""
    return {name: getattr(settings, name) for name in sorted(settings.model_fields_set)}


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """Our own, with `settings` as SCORER_ variables; None leaves a setting at what it is."""
    ours = {f"{PREFIX}{name.upper()}": _text(value) for name, value in settings.items() if value is not None}
    return {**os.environ, **ours}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
