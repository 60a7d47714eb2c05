"""Starts peers: installs what they need, gives each a folder of its own, and skips those that do not come up."""

import asyncio
import re
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import torch

from bench.cases import Context
from bench.peers.catalogue import Peer, Seat
from bench.peers.environments import Installed, install
from bench.peers.processes import Tree, free_port, tree
from inference.model import load_model


class Seats:
    """One run's. Each peer's version, by its name, is in `versions`."""

    def __init__(self, context: Context, model: Mapping[str, str]) -> None:
        """`model`: what `servers/model.py` reads from the environment."""
        self.model = model
        self._peers = context.settings.cache_dir / "bench" / "peers"
        self._directory = context.directory
        self.versions: dict[str, str] = {}

    async def installed(self, peer: Peer) -> Installed:
        """Its environment. Raises Skipped."""
        if peer.environment is None:
            return Installed(Path(sys.executable), "")
        found = await install(peer.environment, self._peers)
        self.versions[peer.name] = found.version
        return found

    async def seat(self, peer: Peer, variables: Mapping[str, str]) -> Seat:
        """What it needs for one start. Raises Skipped."""
        found = await self.installed(peer)
        directory = self._directory / re.sub(r"\W+", "-", peer.name)
        directory.mkdir(exist_ok=True)
        port = free_port()
        own = {"PEER_PORT": str(port), "BENTOML_HOME": str(directory)}
        return Seat(found.python, directory, {**self.model, **own, **peer.variables, **variables}, port)

    @asynccontextmanager
    async def started(
        self, peer: Peer, variables: Mapping[str, str] | None = None
    ) -> AsyncGenerator[tuple[Tree, Seat], None]:
        """Start it; ended with the context. Raises Skipped when it cannot be installed."""
        seat = await self.seat(peer, variables or {})
        async with tree(peer.name, peer.command(seat), seat.variables, seat.directory) as running:
            yield running, seat


async def open_seats(context: Context) -> Seats:
    """Write down the model that our own settings name, for the others to load."""
    return Seats(context, await asyncio.to_thread(_model, context))


def _model(context: Context) -> dict[str, str]:
    model = load_model(context.settings)
    path = context.directory / "weights.pt"
    torch.save(model.network.state_dict(), path)
    sides = {"PEER_RESIZE": str(model.preprocessing.resize), "PEER_CROP": str(model.preprocessing.crop)}
    return {"PEER_WEIGHTS": str(path), **sides}
