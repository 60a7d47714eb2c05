"""Foreign programs as children: in sessions of their own, ended by us alone, and never left behind.

A terminal's Ctrl-C does not reach them, and they end when we are killed (`guards.py`).
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals

from embedded.guards import Account, guard
from errors import CommandFailed, DependencyAway

TAIL_BYTES, TAIL_LINES = 8192, 12
GRACE_S = 10.0


@dataclass(frozen=True)
class Program:
    """A foreign program and how to run it."""

    name: str
    """As people know it."""
    command: Sequence[str | Path]
    directory: Path
    """Working directory."""
    log: Path
    """Gets stdout and stderr, from this start on; the log of the start before is kept beside it."""
    account: Account | None = None
    """None: ours."""
    descriptors: tuple[int, ...] = ()
    """Open files that the program gets."""
    standard_input: Path | None = None
    """None: nothing to read."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    stop_signals: tuple[Signals, ...] = (Signals.SIGTERM,)
    """Tried one after the other, `GRACE_S` each, before SIGKILL."""
    death_signal: Signals = Signals.SIGKILL
    """What it gets when we die without having stopped it."""


class Child:
    """A program that runs."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self.name = program.name
        self.pid = process.pid
        self._program = program
        self._process = process

    async def ended(self) -> int:
        """Wait until the program ends by itself; its exit code."""
        return await self._process.wait()

    def failure(self, code: int) -> CommandFailed:
        """What to raise when it ended and should not have."""
        return CommandFailed(f"{self.name} ended with exit code {code}. {self.log_end()}")

    def log_end(self) -> str:
        """The last lines of its log, and where the rest is."""
        text = self._program.log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")
        lines = [line for line in text.splitlines() if line.strip()][-TAIL_LINES:]
        return "\n  ".join([f"The end of {self._program.log}:", *(lines or ["(empty)"])])

    async def stop(self) -> None:
        """End it: politely, then less so. Interrupted, it does not wait for the polite way any more."""
        try:
            for number in self._program.stop_signals:
                if await self._ends_after(number):
                    return
        except asyncio.CancelledError:
            await self._ends_after(self._program.death_signal)
            raise
        await self._ends_after(Signals.SIGKILL)

    async def _ends_after(self, number: Signals) -> bool:
        try:
            if self._process.returncode is None and number is Signals.SIGKILL:
                os.killpg(self.pid, number)  # a supervisor cannot pass this one on
            elif self._process.returncode is None:
                self._process.send_signal(number)
            await asyncio.wait_for(self._process.wait(), GRACE_S)
        except ProcessLookupError:
            await self._process.wait()
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def running(program: Program) -> AsyncIterator[Child]:
    """Start the program, and stop it at the end. CommandFailed when there is no such program."""
    if program.log.exists():
        program.log.replace(program.log.with_suffix(f".previous{program.log.suffix}"))
    with guard([str(part) for part in program.command], program.death_signal, program.account) as guarded:
        source = program.standard_input or Path(os.devnull)
        with program.log.open("ab") as output, source.open("rb") as standard_input:
            try:
                process = await asyncio.create_subprocess_exec(
                    *guarded.command,
                    stdin=standard_input,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=program.directory,
                    env=program.environment,
                    start_new_session=True,
                    pass_fds=(*guarded.descriptors, *program.descriptors),
                )
            except OSError as error:
                raise CommandFailed(f"{program.name} cannot be started: {error}") from error
        child = Child(program, process)
        try:
            yield child
        finally:
            await child.stop()


async def run_to_end(program: Program) -> None:
    """Run a program that ends by itself. CommandFailed with the end of its output when it fails."""
    async with running(program) as child:
        code = await child.ended()
        if code != 0:
            raise child.failure(code)


async def ready(child: Child, probe: Awaitable[None], timeout_s: float) -> None:
    """Wait until `probe` returns. CommandFailed when the program ends first, DependencyAway after `timeout_s`."""
    ended = asyncio.ensure_future(child.ended())
    answered = asyncio.ensure_future(probe)
    try:
        await asyncio.wait({ended, answered}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            raise child.failure(ended.result())
        if not answered.done():
            raise DependencyAway(f"{child.name} was not ready after {timeout_s:g} s. {child.log_end()}")
        answered.result()
    finally:
        ended.cancel()
        answered.cancel()
