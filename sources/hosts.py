"""Which hosts http(s):// may go to, by name, and which addresses it may meet there."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Literal

import httpx

from errors import UsageError

_ENTRY = re.compile(r"(?P<wild>\*\.)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]*]+)(:(?P<port>[0-9]{1,5}))?")
_NAT64 = IPv6Network("64:ff9b::/96")

Standing = Literal["named", "wildcard"]


class HostRules:
    """Allowed hosts: `host` (any port), `host:port`, `*.domain` (its subdomains), `*.domain:port`.

    A host that an entry names exactly, as a name or as an address, is the operator's will and may stand anywhere, also
    on a private address. A wildcard vouches for no such thing: what it matches must stand on a public address.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._named: set[tuple[str, int | None]] = set()
        self._wild: list[tuple[str, int | None]] = []
        for entry in entries:
            host, port, wild = _parse(entry)
            if wild:
                self._wild.append((f".{host}", port))
            else:
                self._named.add((host, port))

    def __bool__(self) -> bool:
        return bool(self._named or self._wild)

    def standing(self, host: str, port: int) -> Standing | None:
        """How `host` is allowed, or None."""
        host = canonical(host)
        if (host, None) in self._named or (host, port) in self._named:
            return "named"
        matches = any(host.endswith(suffix) and wanted in (None, port) for suffix, wanted in self._wild)
        return "wildcard" if matches else None


def canonical(host: str) -> str:
    """One spelling a host: lower case, no dot at the end, addresses in their short form."""
    host = host.lower().removesuffix(".")
    try:
        return str(ip_address(host))
    except ValueError:
        return host


def is_public(address: str) -> bool:
    """Whether `address` (IPv4 or IPv6) can be reached over the internet, and any IPv4 address inside of it too."""
    ip = ip_address(address)
    inner = _inner(ip) if isinstance(ip, IPv6Address) else None
    return is_public(str(inner)) if inner is not None else ip.is_global and not ip.is_multicast


def _inner(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a translator or a tunnel on the way would go to."""
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


def _parse(entry: str) -> tuple[str, int | None, bool]:
    try:
        return str(ip_address(entry)), None, False
    except ValueError:
        pass
    match = _ENTRY.fullmatch(entry)
    try:
        host = httpx.URL(f"http://{match['host']}/").raw_host.decode("ascii") if match else ""
    except httpx.InvalidURL:
        host = ""
    port = int(match["port"]) if match and match["port"] else None
    if match is None or not host or (port is not None and not 0 < port < 65536):
        raise UsageError(
            f"SCORER_URI_HTTP_HOSTS: {entry!r} is no host: write example.org, example.org:8080 or *.example.org"
        )
    return canonical(host), port, bool(match["wild"])
