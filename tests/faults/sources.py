"""A web server whose paths choose how an image source behaves, well or badly.

    /ok/<n>.jpg         picture n                       /endless            a body that never ends
    /404 /403 /500      that status                     /redirect-private   to /private by another name of this host
    /slow/<seconds>     picture 0, so much later        /changing           another picture each time
    /gate/<n>           picture n while the gate is open, else 503

What follows in a path is ignored and counted apart: /404/one is a 404.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STATUSES = {"404": HTTPStatus.NOT_FOUND, "403": HTTPStatus.FORBIDDEN, "500": HTTPStatus.INTERNAL_SERVER_ERROR}
POLL_S = 0.05


class Sources:
    """What is served and what was asked for. The server has threads of its own: a busy test does not slow it."""

    def __init__(self, images: Sequence[bytes]) -> None:
        self.port = 0
        self.asked: Counter[str] = Counter()
        """Requests so far, by path. One for /private means that a redirect was followed that must not be."""
        self._images = images
        self._counting = threading.Lock()
        self._gate = threading.Event()
        self.ending = threading.Event()

    @property
    def host(self) -> str:
        """For SCORER_URI_HTTP_HOSTS."""
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        """The image_uri for a path."""
        return f"http://{self.host}{path}"

    def image(self, number: int) -> bytes:
        """Picture `number`; they begin again behind the last one."""
        return self._images[number % len(self._images)]

    def open(self) -> None:
        """From now on /gate/<n> answers."""
        self._gate.set()

    def shut(self) -> None:
        """From now on /gate/<n> is a 503, as it is at the start."""
        self._gate.clear()

    @property
    def is_open(self) -> bool:
        """Whether /gate/<n> answers."""
        return self._gate.is_set()

    def count(self, path: str) -> int:
        """Note a request; which one it is for this path, from 0 on."""
        with self._counting:
            self.asked[path] += 1
            return self.asked[path] - 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, sources: Sources) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sources = sources

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up here all the time: that is what these paths are for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        sources, path = self.server.sources, self.path.partition("?")[0]
        number = sources.count(path)
        _, kind, *rest = path.split("/")
        argument = rest[0].partition(".jpg")[0] if rest else ""
        match kind:
            case "404" | "403" | "500":
                self._answer(STATUSES[kind])
            case "ok":
                self._answer(HTTPStatus.OK, sources.image(int(argument)))
            case "slow":
                sources.ending.wait(float(argument))
                self._answer(HTTPStatus.OK, sources.image(0))
            case "changing":
                self._answer(HTTPStatus.OK, sources.image(number))
            case "gate" if sources.is_open:
                self._answer(HTTPStatus.OK, sources.image(int(argument)))
            case "gate":
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE)
            case "endless":
                self._flood()
            case "redirect-private":
                self._answer(HTTPStatus.FOUND, location=f"http://localhost:{sources.port}/private")
            case "private":
                self._answer(HTTPStatus.OK, sources.image(0))
            case _:
                self._answer(HTTPStatus.BAD_REQUEST)

    def _answer(self, status: HTTPStatus, body: bytes = b"", *, location: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if location is not None:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def _flood(self) -> None:
        """The picture, and behind it more and more, until the client hangs up."""
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(self.server.sources.image(0))
        while not self.server.sources.ending.is_set():
            self.wfile.write(bytes(2**16))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (http.server's names)
        """Nothing: `asked` counts."""


@asynccontextmanager
async def run_sources(images: Sequence[bytes]) -> AsyncIterator[Sources]:
    """Serve `images` on 127.0.0.1, on a free port."""
    sources = Sources(images)
    with _Server(sources) as server:
        sources.port = server.server_port
        serving = threading.Thread(target=server.serve_forever, args=(POLL_S,), name="sources")
        serving.start()
        try:
            yield sources
        finally:
            sources.ending.set()
            await asyncio.to_thread(server.shutdown)
            await asyncio.to_thread(serving.join)
