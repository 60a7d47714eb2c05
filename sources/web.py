"""http:// and https:// to the allowed hosts: no proxies, no credentials, few redirects, each hop checked anew."""

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, contextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpcore
import httpx

from errors import ImageTooLarge, SourceNotFound, SourceRefused, SourceUnavailable
from sources.hosts import HostRules
from sources.limits import FetchLimits
from sources.network import CheckedNetwork, Resolve

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_LATER = frozenset({408, 425, 429})
_LONGEST_RETRY_AFTER_S = 300.0
_PORTS = {"http": 80, "https": 443}


class WebSource:
    """Fetches over HTTP/1.1 with a pool of its own."""

    def __init__(self, rules: HostRules, limits: FetchLimits, pool: httpcore.AsyncConnectionPool) -> None:
        self._rules = rules
        self._limits = limits
        self._pool = pool

    async def read(self, uri: str) -> bytes:
        if not self._rules:
            raise SourceRefused("http(s):// is not allowed: name hosts that may be asked in SCORER_URI_HTTP_HOSTS")
        url = _parse(uri)
        for _ in range(self._limits.redirects + 1):
            self._check(url)
            async with self._asked(url) as response:
                if response.status not in _REDIRECTS:
                    return await self._body(url, response)
                url = _redirected(url, response)
        raise SourceRefused(f"{_shown(url)}: more than {self._limits.redirects} redirects")

    def _check(self, url: httpx.URL) -> None:
        if url.scheme not in _PORTS or not url.raw_host:
            raise SourceRefused(f"{_shown(url)} is no http(s) address with a host")
        if url.userinfo:
            raise SourceRefused(f"{_shown(url)} has credentials in it: those are never sent")
        if self._rules.standing(url.raw_host.decode("ascii"), _port(url)) is None:
            raise SourceRefused(f"{_shown(url)}: {url.host}:{_port(url)} is not among SCORER_URI_HTTP_HOSTS")

    @asynccontextmanager
    async def _asked(self, url: httpx.URL) -> AsyncIterator[httpcore.Response]:
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        headers = [(b"Host", url.netloc), (b"Accept", b"image/*,*/*;q=0.1"), (b"Accept-Encoding", b"identity"),
                   (b"User-Agent", b"streamscorer")]  # fmt: skip
        limits = self._limits
        timeouts = {"connect": limits.connect_s, "read": limits.read_s, "write": limits.read_s, "pool": limits.total_s}
        with _failures(url):
            async with self._pool.stream("GET", target, headers=headers, extensions={"timeout": timeouts}) as response:
                yield response

    async def _body(self, url: httpx.URL, response: httpcore.Response) -> bytes:
        _check_status(url, response)
        coding = _header(response, b"content-encoding").lower()
        if coding not in ("", "identity"):
            raise SourceRefused(
                f"{_shown(url)} answered with content-encoding {coding[:40]!r}, which was not asked for"
            )
        length = _header(response, b"content-length")
        if length.isdecimal() and int(length[:20]) > self._limits.max_bytes:
            raise self._too_large(url)
        chunks, size = [], 0
        async for chunk in response.aiter_stream():
            chunks.append(chunk)
            size += len(chunk)
            if size > self._limits.max_bytes:
                raise self._too_large(url)
        return b"".join(chunks)

    def _too_large(self, url: httpx.URL) -> ImageTooLarge:
        return ImageTooLarge(f"{_shown(url)} is larger than the {self._limits.max_bytes} bytes that are accepted")


@asynccontextmanager
async def open_web(
    hosts: Sequence[str], limits: FetchLimits, threads: Executor, resolve: Resolve
) -> AsyncIterator[WebSource]:
    """A source whose connections are closed at the end. Raises UsageError for an entry that is no host."""
    rules = HostRules(hosts)
    pool = httpcore.AsyncConnectionPool(
        ssl_context=httpx.create_ssl_context() if rules else None,
        max_connections=32,
        keepalive_expiry=15.0,
        network_backend=CheckedNetwork(rules, threads, resolve),
    )
    async with pool:
        yield WebSource(rules, limits, pool)


def _parse(uri: str) -> httpx.URL:
    try:
        return httpx.URL(uri)
    except httpx.InvalidURL:
        raise SourceRefused("the image_uri is no http(s) address that can be read") from None  # it may hold a password


def _redirected(url: httpx.URL, response: httpcore.Response) -> httpx.URL:
    location = _header(response, b"location")
    try:
        if location:
            return url.join(location)
    except httpx.InvalidURL:
        location = ""
    raise SourceRefused(f"{_shown(url)} redirects to nowhere that can be read")


def _check_status(url: httpx.URL, response: httpcore.Response) -> None:
    status = response.status
    if status == HTTPStatus.OK:
        return
    words = f"{_shown(url)} answered {status}"
    if status in _GONE:
        raise SourceNotFound(words)
    if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise SourceUnavailable(words, retry_after_s=_retry_after_s(_header(response, b"retry-after")))
    raise SourceRefused(words)


def _retry_after_s(text: str) -> float:
    """Seconds from now, from either form of Retry-After (RFC 9110, 10.2.3); 1 where there is none."""
    if text.isdecimal():
        seconds = float(text[:9])
    else:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            seconds = 1.0
    return min(max(seconds, 1.0), _LONGEST_RETRY_AFTER_S)


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1").strip() for key, value in response.headers if key.lower() == name), "")


def _port(url: httpx.URL) -> int:
    return url.port or _PORTS[url.scheme]


def _shown(url: httpx.URL) -> str:
    """The address for messages: without credentials and without the query, which may be a signature."""
    path = url.raw_path.partition(b"?")[0]
    return f"{url.scheme}://{(url.netloc + path).decode('ascii')}"[:200]


@contextmanager
def _failures(url: httpx.URL) -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException as error:
        raise SourceUnavailable(f"{_shown(url)} does not answer in time") from error
    except (httpcore.NetworkError, httpcore.RemoteProtocolError) as error:
        raise SourceUnavailable(f"{_shown(url)} cannot be fetched for now: {error}") from error
    except (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol) as error:
        raise SourceRefused(f"{_shown(url)} cannot be asked for: {error}") from error
