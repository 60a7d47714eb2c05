"""Consumers as processes that a test may kill, stop and freeze."""

import asyncio
import io
import json
import signal
import sys
import time
import uuid
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from PIL import Image

from broker.topics import create_topics
from embedded.guards import has_setpriv
from settings import KafkaSettings
from tests.system.processes import ROOT, environment
from tests.waiting import eventually

MOST_LINES = 2000
LONGEST_LINE_BYTES = 16 * 1024 * 1024
SHOWN_LINES = 30


class Member:
    """A consumer that was started. As a context manager it is killed at the end, in whatever state it is."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.started_at = time.monotonic()
        self.lines: deque[str] = deque(maxlen=MOST_LINES)
        """The last lines of its log."""
        self.url: str | None = None
        """Where it answers /readyz, once it does (with SCORER_HEALTH_PORT)."""
        self.partitions: tuple[int, ...] = ()
        """What the group gave it last."""
        self.decided = 0
        """Records that it has decided so far, by its log."""
        self._readers = (
            asyncio.create_task(self._read(process.stderr, self._on_log)),
            asyncio.create_task(self._read(process.stdout, self._on_output)),
        )

    @property
    def running(self) -> bool:
        """Whether it has not ended; a frozen one counts as running."""
        return self.process.returncode is None

    async def joined(self, within_s: float = 60.0) -> None:
        """Wait until it has partitions."""
        await eventually(lambda: self.partitions or not self.running, "partitions assigned", within_s=within_s)
        assert self.running, f"ended with {self.process.returncode} before it got partitions:\n{self.tail()}"

    def kill(self) -> None:
        """SIGKILL."""
        self._send(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: it drains."""
        self._send(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._send(signal.SIGCONT)

    async def end(self, within_s: float = 60.0) -> int:
        """Exit code, once it has ended and its output is read; minus the signal's number where one ended it."""
        try:
            async with asyncio.timeout(within_s):
                code = await self.process.wait()
                await asyncio.gather(*self._readers)
        except TimeoutError:
            raise AssertionError(f"has not ended within {within_s:g} s:\n{self.tail()}") from None
        return code

    def tail(self) -> str:
        """The last lines of its log, for messages."""
        return "\n".join(list(self.lines)[-SHOWN_LINES:])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        await self.end()

    def _send(self, number: signal.Signals) -> None:
        if self.running:
            self.process.send_signal(number)

    async def _read(self, stream: asyncio.StreamReader | None, take: Any) -> None:
        assert stream is not None
        while line := await stream.readline():
            take(line.decode(errors="replace").rstrip("\n"))

    def _on_log(self, line: str) -> None:
        self.lines.append(line)
        if '"partitions assigned"' in line:
            self.partitions = tuple(json.loads(line)["partitions"])
        elif '"event": "batch"' in line:
            self.decided += json.loads(line)["records"]

    def _on_output(self, line: str) -> None:
        self.url = self.url or line


async def group_of_its_own(servers: str, database_url: str, partitions: int = 1) -> dict[str, Any]:
    """Topics and a group that nobody else uses, as the settings of members."""
    name = f"m-{uuid.uuid4().hex[:8]}"
    made = KafkaSettings(kafka_bootstrap_servers=servers, kafka_topic=name)
    await create_topics(made, max_image_bytes=2**20, partitions=partitions)
    return {
        "kafka_bootstrap_servers": servers,
        "kafka_topic": name,
        "kafka_group_id": name,
        "kafka_session_timeout_s": 3,
        "database_url": database_url,
    }


async def start_member(
    settings: Mapping[str, object],
    *,
    role: str = "consumer",
    root: Path = ROOT,
    engine: str = "fake",
    trap: str | None = None,
) -> Member:
    """Start a process on `settings` (SCORER_ variables by their settings' names) from the tree at `root`.

    `role`: consumer, api or all. `engine`: fake or real. `trap`: see traps.py.
    It dies with us, however we end (on Linux).
    """
    ours = {"STREAMSCORER_ENGINE": engine, **({} if trap is None else {"STREAMSCORER_TRAP": trap})}
    process = await asyncio.create_subprocess_exec(
        *(("setpriv", "--pdeathsig", "KILL", "--") if has_setpriv() else ()),
        *(sys.executable, "-m", "tests.faults.member", role),
        cwd=root, env={**environment({"log_format": "json", **settings}), **ours},
        stdin=DEVNULL, stdout=PIPE, stderr=PIPE, limit=LONGEST_LINE_BYTES,
    )  # fmt: skip
    return Member(process)


def plain_picture(colour: str) -> bytes:
    """A PNG that is all of one colour (RRGGBB): what the trap engine:kill-on looks for."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), f"#{colour}").save(file, "PNG")
    return file.getvalue()
