"""Connections that reach only addresses which were checked: resolve, check, and connect to what was checked.

Checking first and leaving the connection to a library would resolve the name twice, and a name server may answer
the second time with another address.
"""

import asyncio
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import Executor

import httpcore

from errors import SourceRefused
from sources.hosts import HostRules, is_public

_ATTEMPTS = 3

Resolve = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """Addresses of `host`, best first. Blocks. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """httpcore's network under the host rules; TLS on top still proves the host's name, not the address."""

    def __init__(self, rules: HostRules, threads: Executor, resolve: Resolve) -> None:
        self._rules = rules
        self._threads = threads
        self._resolve = resolve
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (httpcore's interface)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in (await self._checked(host, port))[:_ATTEMPTS]:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")

    async def _checked(self, host: str, port: int) -> list[str]:
        standing = self._rules.standing(host, port)
        if standing is None:
            raise SourceRefused(f"{host}:{port} is not among SCORER_URI_HTTP_HOSTS")
        try:
            loop = asyncio.get_running_loop()
            addresses = await loop.run_in_executor(self._threads, self._resolve, host, port)
        except UnicodeError as error:
            raise SourceRefused(f"{host[:80]!r} is no host name") from error
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error.strerror or error}") from error
        if standing == "named":
            return addresses
        public = [address for address in addresses if is_public(address)]
        if addresses and not public:
            raise SourceRefused(
                f"{host} stands on {addresses[0]}, which is not public; name {host} itself in SCORER_URI_HTTP_HOSTS "
                "if that is meant"
            )
        return public
