"""Peers over HTTP: requests a second, their times, and memory, in turns with ours."""

import itertools
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

from bench.bare import Bare
from bench.cases import Context, Result, Skipped
from bench.peers.catalogue import NAIVE, SERVICES, Service, ours
from bench.peers.comparison import Floor, compared
from bench.peers.contender import Contender, started
from bench.peers.seats import Seats

CONCURRENCIES = (1, 8, 32, 64)
Side = TypeVar("Side")
OURS: tuple[Mapping[str, str], ...] = (
    {"engine": "torch", "precision": "fp32"},
    {"engine": "auto", "precision": "auto"},
    {"engine": "auto", "precision": "bf16"},
    {"engine": "auto", "precision": "int8"},
)
"""The peers' own arithmetic first, then what a user of ours gets, then what must be shown."""


async def serving(context: Context, seats: Seats, only: Sequence[str]) -> AsyncGenerator[Result | Skipped, None]:
    """All start, and hold still until it is their turn. `only`: names of the peers that take part; empty: all."""
    concurrencies = (1, 8) if context.quick else CONCURRENCIES
    chosen = [service for service in SERVICES if not only or service.name in only]
    async with AsyncExitStack() as stack:
        contenders: dict[str, Contender] = {}
        for service in (*await _ours(context), *chosen):
            async with AsyncExitStack() as mine:
                try:
                    contender = await mine.enter_async_context(started(seats, service, context.images))
                except Skipped as reason:
                    yield reason
                    continue
                # `auto` may have taken what comes later under its own name.
                if contender.name not in contenders:
                    contenders[contender.name] = contender
                    stack.push_async_callback(mine.pop_all().aclose)
        floors = await _floors(context, seats, contenders.values())
        number = itertools.count(1)
        for turn in range(context.repetitions):
            for concurrency in concurrencies:
                for name, one in _in_turn(contenders.items(), turn):
                    try:
                        await one.turn(context.images, concurrency, context.seconds, next(number))
                    except Skipped as reason:
                        del contenders[name]
                        yield reason
            for floor in _in_turn(list(floors.values()), turn):
                await floor.turn(8 if context.quick else max(48, int(context.seconds * 20)))
    for result in compared(contenders, floors, concurrencies, seats.versions):
        yield result


async def _ours(context: Context) -> list[Service]:
    room = await (await context.ground()).room()
    given = {name: getattr(context.settings, name) for name in sorted(context.settings.model_fields_set)}
    return [ours(f"ours {one['engine']} {one['precision']}", "api", {**given, **room, **one}) for one in OURS]


def _in_turn(sides: Iterable[Side], turn: int) -> list[Side]:
    """A B C, then C B A: what drifts during the run meets all alike."""
    return list(sides)[:: -1 if turn % 2 else 1]


async def _floors(context: Context, seats: Seats, contenders: Iterable[Contender]) -> dict[str, Floor]:
    """The bare loop of each engine of ours, and that of the naive service."""
    floors = {}
    for one in contenders:
        if one.is_ours:
            engine, precision = one.engine.split()
            floors[one.name] = Floor(await context.bare({"engine": engine, "precision": precision}))
        elif one.service is NAIVE:
            (picture,) = context.images.paths(1)
            model = (f"{name}={value}" for name, value in seats.model.items())
            child = await context.child("bench.peers.servers.loop", str(picture.parent), *model)
            floors[one.name] = Floor(await Bare.ready(child))
    return floors
