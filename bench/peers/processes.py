"""A peer's processes: started, held still, measured and ended as one."""

import asyncio
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import httpx

from bench.cases import Skipped
from bench.peers.family import family, signal_all

ROOT = Path(__file__).resolve().parent.parent.parent
_START_S = 120.0
_GRACE_S = 5.0
_LOOK_S = 0.1


class Tree:
    """All that runs below a warden (`warden.py`), which ends it when we are gone."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._log = log

    def pause(self) -> None:
        """Hold all of it still, so that it costs nothing while another has its turn."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    async def kill(self) -> None:
        """kill -9, all of it."""
        self._signal(signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def stop(self) -> None:
        """Politely first."""
        self._signal(signal.SIGTERM)
        self.resume()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                await self._process.wait()
        await self.kill()

    def check(self) -> None:
        """Raises Skipped when it has ended by itself."""
        if self._process.returncode is not None:
            raise Skipped(f"{self.name} ended with exit code {self._process.returncode}: {self._log_end()}")

    async def until(self, probe: Awaitable[None]) -> None:
        """Wait until `probe` returns. Raises Skipped when the process ends first, or after two minutes."""
        probing = asyncio.ensure_future(probe)
        try:
            async with asyncio.timeout(_START_S):
                while not probing.done():
                    self.check()
                    await asyncio.wait([probing], timeout=_LOOK_S)
        except TimeoutError:
            raise Skipped(f"{self.name} was not ready after {_START_S:g} s: {self._log_end()}") from None
        finally:
            probing.cancel()
        probing.result()

    async def serves(self, url: str) -> None:
        """Wait until `url` answers 200. Raises Skipped as `until`."""

        async def probe() -> None:
            async with httpx.AsyncClient() as client:
                while True:
                    with suppress(httpx.HTTPError):
                        if (await client.get(url)).is_success:
                            return
                    await asyncio.sleep(_LOOK_S)

        await self.until(probe())

    def memory_mb(self) -> float:
        """Resident memory of all its processes; what several of them share counts once (PSS)."""
        return sum(_pss_kb(pid) for pid in family(self.pid)) / 1024

    def _signal(self, number: signal.Signals) -> None:
        signal_all(self.pid, number)

    def _log_end(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


@asynccontextmanager
async def tree(
    name: str, command: Sequence[str | Path], variables: Mapping[str, str], directory: Path
) -> AsyncGenerator[Tree, None]:
    """Run a command in our root with `variables` added to the environment; its output becomes a log in `directory`."""
    with NamedTemporaryFile(dir=directory, prefix=re.sub(r"\W+", "-", name), suffix=".log", delete=False) as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.peers.warden", *command),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
            stdin=PIPE,
            stdout=log,
            stderr=STDOUT,
            start_new_session=True,
        )
        started = Tree(name, process, Path(log.name))
        try:
            yield started
        finally:
            await started.stop()


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _pss_kb(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
