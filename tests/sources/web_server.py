"""A web server that answers byte for byte what a test says, right or wrong."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Send = Callable[[bytes], Awaitable[None]]
Script = bytes | Callable[[Send], Awaitable[None]]


def answer(status: str = "200 OK", body: bytes = b"", **headers: str) -> bytes:
    """A whole response; `headers` with _ for -."""
    given = {"content-length": str(len(body)), **{name.replace("_", "-"): text for name, text in headers.items()}}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {text}" for name, text in given.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class WebServer:
    """Where it listens, and the requests it got: first line and headers. `asked` counts them for those who wait."""

    port: int
    requests: list[str] = field(default_factory=list)
    asked: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


@asynccontextmanager
async def web_server(scripts: Mapping[str, Script], tls: ssl.SSLContext | None = None) -> AsyncIterator[WebServer]:
    """Serve `scripts` by path (the query is ignored) on 127.0.0.1; a path without a script is a 404."""
    handlers: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            server.requests.append(head)
            server.asked.release()
            script = scripts.get(head.split(" ")[1].partition("?")[0], answer("404 Not Found"))
            await (send(script) if isinstance(script, bytes) else script(send))
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    async def watched(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        handlers.add(task)
        try:
            await task
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            handlers.discard(task)

    listener = await asyncio.start_server(watched, "127.0.0.1", 0, ssl=tls)
    server = WebServer(listener.sockets[0].getsockname()[1])
    try:
        yield server
    finally:
        listener.close()
        for task in list(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await listener.wait_closed()
