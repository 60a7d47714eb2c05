"""The client that loads an HTTP service: HTTP/1.1 over connections that are kept, and nearly nothing else.

It shares the machine with what it measures, so what it costs counts: `Load.client_cpu_s`.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from errors import CommandFailed

_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: when it was due and when its answer was complete (time.perf_counter), status and body."""

    due: float
    done: float
    status: int
    body: bytes

    @property
    def latency_s(self) -> float:
        return self.done - self.due


@dataclass(frozen=True, slots=True)
class Load:
    """All answers in the order in which they came, and the CPU seconds of the client."""

    answers: tuple[Answered, ...]
    client_cpu_s: float

    def rate(self, concurrency: int) -> float:
        """Answers a second while all connections were busy: without the first `concurrency` of them and the last.

        Raises CommandFailed when an answer was not 200: a refusal is quick and would look good.
        """
        self.check()
        done = [answer.done for answer in self.answers]
        edge = min(concurrency, len(done) // 3)
        return (len(done) - 2 * edge) / (done[-1 - edge] - done[edge - 1])

    def percentile_ms(self, share: float) -> float:
        """Latency that this share of the requests stayed within."""
        latencies = sorted(answer.latency_s for answer in self.answers)
        return 1000 * latencies[max(0, math.ceil(share * len(latencies)) - 1)]

    def check(self) -> None:
        bad = [answer for answer in self.answers if answer.status != 200]
        if bad:
            raise CommandFailed(f"{len(bad)} of {len(self.answers)} requests failed: {bad[0].status} {bad[0].body!r}")


class Connection:
    """One connection that takes one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        self._reader = reader
        self._writer = writer
        self._head = head

    async def post(self, body: bytes, due: float) -> Answered:
        self._writer.write(f"{self._head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await self._writer.drain()
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        answer = await self._reader.readexactly(length)
        return Answered(due, time.perf_counter(), int(head.split(None, 2)[1]), answer)


@asynccontextmanager
async def connect(url: str, content_type: str = "image/jpeg") -> AsyncIterator[Connection]:
    """A connection that posts to `url`."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port or 80, limit=_BUFFER_BYTES)
    path = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"
    head = f"POST {path} HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-type: {content_type}\r\n"
    try:
        yield Connection(reader, writer, head)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def load(url: str, bodies: Sequence[bytes], concurrency: int, content_type: str = "image/jpeg") -> Load:
    """Post every body, `concurrency` at a time, each as soon as a connection is free."""
    waiting = iter(bodies)

    async def work(connection: Connection) -> list[Answered]:
        return [await connection.post(body, time.perf_counter()) for body in waiting]

    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connect(url, content_type)) for _ in range(concurrency)]
        cpu_s = time.process_time()
        async with asyncio.TaskGroup() as group:
            working = [group.create_task(work(connection)) for connection in connections]
        answers = sorted((answer for task in working for answer in task.result()), key=lambda answer: answer.done)
        return Load(tuple(answers), time.process_time() - cpu_s)


async def paced(url: str, bodies: Sequence[bytes], per_second: float, content_type: str = "image/jpeg") -> Load:
    """Post a body every 1 / `per_second`, whether or not the ones before are answered: latency counts from when it was
    due, so that a service that stalls cannot slow its client down and look good.
    """
    answers: list[Answered] = []
    begun, cpu_s = time.perf_counter(), time.process_time()

    async def one(number: int, body: bytes) -> None:
        due = begun + number / per_second
        await asyncio.sleep(due - time.perf_counter())
        async with connect(url, content_type) as connection:
            answers.append(await connection.post(body, due))

    async with asyncio.TaskGroup() as group:
        for number, body in enumerate(bodies):
            group.create_task(one(number, body))
    return Load(tuple(answers), time.process_time() - cpu_s)
