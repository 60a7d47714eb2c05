"""Peers over HTTP: requests a second, their times, and memory, in turns with ours."""

import itertools
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

from bench.bare import Bare
from bench.calibrated import calibrated
from bench.cases import Context, Result, Skipped
from bench.children import given
from bench.peers.catalogue import NAIVE, SERVICES, Service, ours
from bench.peers.comparison import Floor, compared
from bench.peers.contender import Contender, started
from bench.peers.seats import Seats
from settings import Settings

CONCURRENCIES = (1, 8, 32, 64)
Side = TypeVar("Side")
OURS: tuple[dict[str, str], ...] = (
    {"engine": "torch", "precision": "fp32"},
    {"engine": "auto", "precision": "auto"},
    {"engine": "auto", "precision": "bf16"},
    {"engine": "auto", "precision": "int8"},
)
"""The peers' own arithmetic first, then what a user of ours gets, then what must be shown."""


async def serving(context: Context, seats: Seats, only: Sequence[str]) -> AsyncGenerator[Result | Skipped, None]:
    """All start, and hold still until it is their turn. `only`: names of the peers that take part; empty: all."""
    concurrencies = (1, 8) if context.quick else CONCURRENCIES
    entries: list[Service | dict[str, str]] = [
        *(OURS[:2] if context.quick else OURS),  # int8 is calibrated first
        *(service for service in SERVICES if not only or service.name in only),
    ]
    async with AsyncExitStack() as stack:
        contenders: dict[str, Contender] = {}
        for entry in entries:
            async with AsyncExitStack() as alone:
                try:
                    service = entry if isinstance(entry, Service) else await _ours(context, entry)
                    contender = await alone.enter_async_context(started(seats, service, context.images))
                except Skipped as reason:
                    yield reason
                    continue
                # `auto` may have taken what comes later under its own name.
                if contender.name not in contenders:
                    contenders[contender.name] = contender
                    stack.push_async_callback(alone.pop_all().aclose)
        floors = await _floors(context, seats, contenders.values())
        number = itertools.count(1)
        for turn in range(context.repetitions):
            for concurrency in concurrencies:
                for name, contender in _in_turn(contenders.items(), turn):
                    try:
                        await contender.turn(context.images, concurrency, context.seconds, next(number))
                    except Skipped as reason:
                        del contenders[name]
                        yield reason
            for floor in _in_turn(list(floors.values()), turn):
                await floor.turn()
    for result in compared(contenders, floors, concurrencies, seats.versions):
        yield result


async def _ours(context: Context, engine: Mapping[str, str]) -> Service:
    """Our service with this engine. Raises Skipped when int8 cannot be calibrated."""
    room = await (await context.ground()).room()
    settings = await _with_engine(context, engine)
    return ours(f"ours {engine['engine']} {engine['precision']}", "api", {**given(settings), **room})


async def _with_engine(context: Context, engine: Mapping[str, str]) -> Settings:
    return await calibrated(context.settings.model_copy(update=engine), context.images, context.directory)


def _in_turn(sides: Iterable[Side], turn: int) -> list[Side]:
    """A B C, then C B A: what drifts during the run meets all alike."""
    return list(sides)[:: -1 if turn % 2 else 1]


async def _floors(context: Context, seats: Seats, contenders: Iterable[Contender]) -> dict[str, Floor]:
    """The bare loop of each engine of ours, and that of the naive service."""
    floors = {}
    for one in contenders:
        if one.is_ours:
            engine, precision = one.engine.split()
            settings = await _with_engine(context, {"engine": engine, "precision": precision})
            floors[one.name] = await _floor(context, await context.bare(given(settings)))
        elif one.service is NAIVE:
            (picture,) = context.images.paths(1)
            model = (f"{name}={value}" for name, value in seats.model.items())
            child = await context.child("bench.peers.servers.loop", str(picture.parent), *model)
            floors[one.name] = await _floor(context, await Bare.ready(child))
    return floors


async def _floor(context: Context, bare: Bare) -> Floor:
    return Floor(bare, await bare.how_many(context.seconds, quick=context.quick))
