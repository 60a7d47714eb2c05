"""A service in the run: up, warm, holding still between its turns; and what it did in them."""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from bench.cases import Skipped
from bench.http_load import Load, load
from bench.peers.catalogue import Service
from bench.peers.processes import Tree
from bench.peers.seats import Seats
from bench.workload import Workload
from errors import CommandFailed

_WARM_UP = 16
_REFUSALS = (CommandFailed, OSError, EOFError)
_LEAST = 3
"""Requests for each connection, at least: the first and the last of each are not counted."""


@dataclass(slots=True)
class Contender:
    """Made by `started`."""

    service: Service
    tree: Tree
    url: str
    engine: str
    """`torch fp32`"""
    resting_mb: float = 0.0
    busy_mb: list[float] = field(default_factory=list)
    loads: dict[int, list[Load]] = field(default_factory=dict)
    """By concurrency, one a round."""
    estimate: float = 1.0
    """Requests a second of its last turn."""

    @property
    def is_ours(self) -> bool:
        return self.service.environment is None

    @property
    def name(self) -> str:
        return f"ours {self.engine}" if self.is_ours else self.service.name

    def rates(self, concurrency: int) -> tuple[float, ...]:
        """Requests a second, one a round."""
        return tuple(one.rate(concurrency) for one in self.loads[concurrency])

    def percentiles_ms(self, concurrency: int, share: float) -> tuple[float, ...]:
        """Of each round."""
        return tuple(one.percentile_ms(share) for one in self.loads[concurrency])

    async def turn(self, images: Workload, concurrency: int, seconds: float, number: int) -> None:
        """Load it for about `seconds` with images that no turn of another `number` has. Raises Skipped."""
        count = max(_LEAST * concurrency, _WARM_UP, int(self.estimate * seconds))
        bodies = [self.service.form(image) for image in await asyncio.to_thread(images.read, count, number)]
        self.tree.resume()
        with _answering(self.service):
            done = await load(self.url, bodies, concurrency, self.service.content_type)
            self.estimate = done.rate(concurrency)
        self.busy_mb.append(self.tree.memory_mb())
        self.tree.pause()
        self.loads.setdefault(concurrency, []).append(done)


@asynccontextmanager
async def started(seats: Seats, service: Service, images: Workload) -> AsyncGenerator[Contender, None]:
    """Raises Skipped when it cannot be installed, does not come up, or does not answer."""
    async with seats.started(service) as (tree, seat):
        base = f"http://127.0.0.1:{seat.port}"
        await tree.serves(f"{base}{service.ready}")
        contender = Contender(service, tree, f"{base}{service.path}", f"torch {service.precision}")
        bodies = [service.form(image) for image in await asyncio.to_thread(images.read, _WARM_UP, 0)]
        with _answering(service):
            # The first ones are slow: threads and buffers are made.
            await load(contender.url, bodies[:4], 4, service.content_type)
            warm = await load(contender.url, bodies[4:], 4, service.content_type)
            contender.estimate = warm.rate(4)
        if contender.is_ours:
            answer = json.loads(warm.answers[-1].body)
            contender.engine = f"{answer['engine']} {answer['precision']}"
        contender.resting_mb = tree.memory_mb()
        tree.pause()
        yield contender


@contextmanager
def _answering(service: Service) -> Generator[None, None, None]:
    """What a service that refuses or hangs up makes of the client: Skipped."""
    try:
        yield
    except _REFUSALS as refusal:
        raise Skipped(f"{service.name} does not answer: {refusal}") from refusal
    except ExceptionGroup as group:  # of the connections
        refusals, others = group.split(_REFUSALS)
        if others or refusals is None:
            raise
        raise Skipped(f"{service.name} does not answer: {refusals.exceptions[0]!r}") from refusals
