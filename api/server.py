"""Serve an application inside a running event loop: bind, say when it answers, stop without losing a request."""

import asyncio
import contextlib
import errno
import math
import socket
from collections.abc import Callable, Iterator
from typing import Literal

import uvicorn
from fastapi import FastAPI

from api.services import begin_draining
from errors import UsageError
from settings import ApiSettings

_BACKLOG = 2048


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers (the command that runs has its own), telling when it accepts."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()


async def serve(
    app: FastAPI,
    settings: ApiSettings,
    *,
    on_ready: Callable[[str], None],
    stop: asyncio.Event,
    listen_on: Literal["port", "health_port"] = "port",
) -> None:
    """Serve `app` until `stop` is set; `on_ready` gets http://HOST:PORT once connections are answered.

    Stopping: unready, waiting requests answered at once, no new connections, running requests finished within
    `drain_timeout_s`, then cancelled. Raises UsageError when the address cannot be listened on.
    """
    listener = await _listen(settings, listen_on)
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=settings.proxy_headers,
        # uvicorn believes 127.0.0.1 alone unless told; the setting means the proxy in front, wherever it runs.
        forwarded_allow_ips="*" if settings.proxy_headers else None,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=max(1, math.ceil(settings.drain_timeout_s)),
    )
    with contextlib.closing(listener):
        server = _Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http-server")
        watching = asyncio.create_task(
            _until_stopped(server, listener, settings.host, on_ready, stop), name="http-stop"
        )
        try:
            await asyncio.wait({serving, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            begin_draining(app)
            server.should_exit = True
            watching.cancel()
            await asyncio.gather(serving, watching, return_exceptions=True)
        for task in (watching, serving):
            if not task.cancelled():
                task.result()


async def check_address(settings: ApiSettings) -> None:
    """Raises UsageError when `serve` could not listen now: for those who want to know before a long start."""
    (await _listen(settings, "port")).close()


async def _until_stopped(
    server: _Server, listener: socket.socket, host: str, on_ready: Callable[[str], None], stop: asyncio.Event
) -> None:
    await server.accepting.wait()
    port = listener.getsockname()[1]
    on_ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    await stop.wait()


async def _listen(settings: ApiSettings, listen_on: Literal["port", "health_port"]) -> socket.socket:
    host, port = settings.host, getattr(settings, listen_on) or 0
    variable, option = f"SCORER_{listen_on.upper()}", f"--{listen_on.replace('_', '-')}"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(f"SCORER_HOST={host} is no address of this machine: {error.strerror}") from error
    family, _, _, _, address = found[0]
    # By its protocol asyncio knows that it is TCP, and sends small answers at once: else the second one on a connection
    # waits 40 ms for the acknowledgement of the first.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(_unusable(error, host, port, f"{variable} (or {option})")) from error
    return listener


def _unusable(error: OSError, host: str, port: int, names: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{host}:{port} is taken: set {names} to another one, 0 picks a free one"
    if error.errno == errno.EACCES:
        return f"{host}:{port} needs more rights than this user has: set {names} to one from 1024 on, or 0"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"SCORER_HOST={host} is no address of this machine: use 127.0.0.1, or 0.0.0.0 for all of them"
    return f"cannot listen on {host}:{port}: {error.strerror}"
