"""Ports on 127.0.0.1 that stay the same from start to start."""

import json
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path

from embedded.files import write_whole
from errors import CommandFailed
from telemetry import logger

# Below what Linux and macOS hand out to outgoing connections, which would otherwise take a kept port now and then.
LOWEST, HIGHEST = 20000, 32000

log = logger("embedded")


def keep_ports(file: Path, names: Sequence[str]) -> dict[str, int]:
    """The port of each name as kept in `file`; a new one, with a warning, where another program has it meanwhile."""
    kept = _read(file)
    ports: dict[str, int] = {}
    for name in names:
        port = kept.get(name)
        if port is None or not is_free(port):
            ports[name] = _pick({*kept.values(), *ports.values()})
            if port is not None:
                log.warning(
                    "another program listens on the kept port; using a new one", name=name, port=port, new=ports[name]
                )
        else:
            ports[name] = port
    if ports != kept:
        write_whole(file, json.dumps(ports))
    return ports


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:port."""
    with socket.socket() as probe:
        # Servers set it too: a port whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _read(file: Path) -> dict[str, int]:
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {name: port for name, port in kept.items() if isinstance(port, int)} if isinstance(kept, dict) else {}


def _pick(taken: set[int]) -> int:
    for _ in range(1000):
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
        if port not in taken and is_free(port):
            return port
    raise CommandFailed(f"no free port between {LOWEST} and {HIGHEST} on 127.0.0.1")
