"""Commands of ours as separate processes, as an operator starts them."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """The process's environment with `settings` as SCORER_ variables and one torch thread."""
    ours = {f"SCORER_{name.upper()}": str(value) for name, value in settings.items()}
    return {**os.environ, "SCORER_THREADS": "1", "OMP_NUM_THREADS": "1", **ours}


class Command:
    """A running command with its output so far."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._changed = asyncio.Event()
        self._readers = [
            asyncio.create_task(self._read(process.stdout, self.stdout)),
            asyncio.create_task(self._read(process.stderr, self.stderr)),
        ]

    async def _read(self, stream: asyncio.StreamReader | None, lines: list[str]) -> None:
        assert stream is not None
        while line := await stream.readline():
            lines.append(line.decode(errors="replace").rstrip("\n"))
            self._changed.set()
        self._changed.set()

    async def line(self, text: str, *, within_s: float = 60.0) -> str:
        """The first line of stdout or stderr that contains `text`."""
        async with asyncio.timeout(within_s):
            while True:
                found = next((line for line in (*self.stdout, *self.stderr) if text in line), None)
                if found is not None:
                    return found
                ended = all(reader.done() for reader in self._readers)
                assert not ended, f"ended without {text!r}:\n" + "\n".join(self.stderr[-30:])
                self._changed.clear()
                await self._changed.wait()

    async def end(self, *, within_s: float = 60.0) -> int:
        """Exit code, once it has ended and all output is read."""
        async with asyncio.timeout(within_s):
            code = await self.process.wait()
            await asyncio.gather(*self._readers)
        return code

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@asynccontextmanager
async def command(*arguments: str, settings: Mapping[str, object]) -> AsyncIterator[Command]:
    """Run `streamscorer ARGUMENTS`; killed at the end of the block if it still runs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", *arguments,
        cwd=ROOT, env=environment(settings), stdout=PIPE, stderr=PIPE, stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    started = Command(process)
    try:
        yield started
    finally:
        if process.returncode is None:
            process.kill()
        await started.end()
