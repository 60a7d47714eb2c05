"""A TCP proxy that delays, resets, falls silent, or cuts a line at a chosen word."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

CHUNK_BYTES = 2**20
LONGEST_NEEDLE = 64
ANSWER_S = 0.2


class _Line:
    """A client's connection, and ours to the target once there is one."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.target: asyncio.StreamWriter | None = None
        self.withheld = False
        """What the target answers from now on is not passed on."""
        self.answered = asyncio.Event()
        """The target has answered something that was withheld."""

    def reset(self) -> None:
        """RST in both directions."""
        for end in (self.client, self.target):
            if end is not None:
                _reset(end)


class Proxy:
    """Between clients and 127.0.0.1:`target_port`; every line passes until told otherwise."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        """Where clients connect, on 127.0.0.1."""
        self.target_port = target_port
        """May be changed: it counts for new lines."""
        self.latency_s = 0.0
        """Added in each direction."""
        self.connections = 0
        """Lines accepted so far."""
        self.cuts = 0
        """Lines that `cut_at` has cut so far."""
        self._lines: set[_Line] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._refusing = False
        self._needle, self._deliver, self._cuts_left = b"", False, 0

    def reset(self) -> None:
        """Reset every open line; new ones work."""
        for line in list(self._lines):
            line.reset()

    def refuse(self) -> None:
        """Reset every open line, and each new one at once."""
        self._refusing = True
        self.reset()

    def go_silent(self) -> None:
        """Keep all lines open and accept new ones, but pass nothing, not even that an end has gone."""
        self._passing.clear()

    def heal(self) -> None:
        """Everything passes again, also what was held back meanwhile. `latency_s` stays as it is."""
        self._refusing = False
        self._cuts_left = 0
        self._passing.set()

    def cut_at(self, needle: bytes, *, deliver: bool, times: int = 1) -> None:
        """Cut the next `times` lines on which a client sends `needle`.

        Without `deliver` the target does not see it. With `deliver` it does, and the client does not see the answer:
        for the client the outcome is unknown.
        """
        assert 0 < len(needle) <= LONGEST_NEEDLE
        self._needle, self._deliver, self._cuts_left = needle, deliver, times

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One line, from its accept to its end."""
        self.connections += 1
        line = _Line(writer)
        self._lines.add(line)
        try:
            if self._refusing:
                return
            await self._delay()
            answers, line.target = await asyncio.open_connection("127.0.0.1", self.target_port, limit=CHUNK_BYTES)
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._forward(line, reader, line.target))
                directions.create_task(self._backward(line, answers))
            for end in (line.client, line.target):
                end.close()
            for end in (line.client, line.target):
                await end.wait_closed()
        except* (OSError, RuntimeError):  # the latter is what uvloop says of an end that is closed
            pass  # an end is gone without a farewell: so is the line
        finally:
            line.reset()
            self._lines.discard(line)

    async def _forward(self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        last = b""
        while data := await reader.read(CHUNK_BYTES):
            await self._delay()
            if self._cuts_left and self._needle in last[len(last) - len(self._needle) + 1 :] + data:
                await self._cut(line, data, writer)
                return
            last = (last + data[-LONGEST_NEEDLE:])[-LONGEST_NEEDLE:]
            writer.write(data)
            await writer.drain()
        await self._delay()
        writer.write_eof()

    async def _backward(self, line: _Line, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._delay()
            if line.withheld:
                line.answered.set()
                continue
            line.client.write(data)
            await line.client.drain()
        await self._delay()
        if not line.withheld:
            line.client.write_eof()

    async def _cut(self, line: _Line, data: bytes, target: asyncio.StreamWriter) -> None:
        self._cuts_left -= 1
        self.cuts += 1
        if not self._deliver:
            line.reset()
            return
        line.withheld = True
        target.write(data)
        # A clean end, and its answers read until it closes: a reset could take back what it has not read yet.
        target.write_eof()
        with suppress(TimeoutError):  # it answers nothing, or takes its time
            await asyncio.wait_for(line.answered.wait(), ANSWER_S)
        _reset(line.client)

    async def _delay(self) -> None:
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        await self._passing.wait()


@asynccontextmanager
async def run_proxy(target_port: int) -> AsyncIterator[Proxy]:
    """A proxy on a free port; all its lines are reset at the end."""
    proxy = Proxy(target_port)
    handlers: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.create_task(proxy.serve(reader, writer))
        handlers.add(handler)
        handler.add_done_callback(handlers.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=CHUNK_BYTES)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.refuse()
        for handler in list(handlers):
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await server.wait_closed()


def _reset(end: asyncio.StreamWriter) -> None:
    """Close with RST: with no time to linger, the kernel throws away what is unsent."""
    line = end.get_extra_info("socket")
    with suppress(OSError, ValueError):  # it was closed meanwhile
        if line is not None:  # nor before
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.transport.abort()
