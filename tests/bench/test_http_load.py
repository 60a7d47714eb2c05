"""The client that loads a service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bench.http_load import Answered, Load, load, paced
from errors import CommandFailed
from tests.waiting import eventually


class Service:
    """Answers what was posted, at most one request at a time, `seconds` each."""

    def __init__(self, seconds: float = 0.0, status: int = 200) -> None:
        self._seconds = seconds
        self._status = status
        self._turn = asyncio.Lock()
        self.connections = 0
        self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(length)
                async with self._turn:
                    await asyncio.sleep(self._seconds)
                writer.write(f"HTTP/1.1 {self._status} x\r\nContent-Length: {length}\r\n\r\n".encode() + body)
        except asyncio.IncompleteReadError:
            writer.close()
            await writer.wait_closed()
        self.open -= 1


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[str]:
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/predict"
        await eventually(lambda: service.open == 0)


async def test_every_body_is_posted_once_over_as_many_connections_as_asked_for() -> None:
    service, bodies = Service(), [b"%d" % number for number in range(50)]
    async with running(service) as url:
        done = await load(url, bodies, 4)
    assert sorted(answer.body for answer in done.answers) == sorted(bodies)
    assert service.connections == 4
    assert [answer.done for answer in done.answers] == sorted(answer.done for answer in done.answers)


async def test_a_refusal_does_not_count_as_speed() -> None:
    async with running(Service(status=503)) as url:
        done = await load(url, [b"image"] * 10, 2)
    with pytest.raises(CommandFailed, match="10 of 10 requests failed: 503"):
        done.rate(2)


async def test_latency_at_a_pace_counts_from_when_a_request_was_due() -> None:
    async with running(Service(seconds=0.05)) as url:
        done = await paced(url, [b"image"] * 6, 1000)
    # They are due within 5 ms and are answered one after the other.
    assert done.percentile_ms(0.99) > 5 * 50
    assert done.percentile_ms(0) < done.percentile_ms(0.99) / 2


def test_the_rate_is_that_of_busy_connections() -> None:
    slow_start = [Answered(0, done, 200, b"") for done in (10.0, 10.0, 11.0, 12.0, 13.0, 14.0, 30.0, 30.0)]
    assert Load(tuple(slow_start), 0).rate(2) == 1.0
