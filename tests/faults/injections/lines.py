"""Faults of the lines between members and the rest: broken, slow, or silent without an end."""

import asyncio
import time
from collections.abc import Callable, Iterable

from tests.faults.proxy import Proxy
from tests.faults.world import Blow, World

_LATENCY_S = 0.3

Lines = Callable[[World], Iterable[Proxy]]


def database(world: World) -> Iterable[Proxy]:
    return [world.ground.database_line]


def brokers(world: World) -> Iterable[Proxy]:
    return world.ground.broker_lines.values()


def image_source(world: World) -> Iterable[Proxy]:
    return [world.ground.source_line]


class Reset:
    """RST to every connection, three times."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    async def __call__(self, world: World) -> Blow:
        began_s = time.time()
        for _ in range(3):
            for line in self._lines(world):
                line.reset()
            await asyncio.sleep(0.5)
        return Blow.since(began_s)


class Slow:
    """Each packet takes its time."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    async def __call__(self, world: World) -> Blow:
        began_s = time.time()
        for line in self._lines(world):
            line.latency_s = _LATENCY_S
        await asyncio.sleep(world.seconds(3, 6))
        for line in self._lines(world):
            line.latency_s = 0.0
        return Blow.since(began_s)


class Refused:
    """Every connection is reset, and each new one."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    async def __call__(self, world: World) -> Blow:
        began_s = time.time()
        for line in self._lines(world):
            line.refuse()
        await asyncio.sleep(world.seconds(2, 6))
        for line in self._lines(world):
            line.heal()
        return Blow.since(began_s)


class Silent:
    """Half open: nothing arrives, and nobody is told. Afterwards the old connections are gone."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    async def __call__(self, world: World) -> Blow:
        began_s = time.time()
        for line in self._lines(world):
            line.go_silent()
        await asyncio.sleep(world.seconds(3, 8))
        for line in self._lines(world):
            line.reset()
            line.heal()
        return Blow.since(began_s)
