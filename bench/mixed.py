"""Mixed load: what a deep backlog in Kafka costs who calls /predict, and what these calls cost the stream."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

from bench.bare import Bare
from bench.cases import Case, Context, Goal, Result, Skipped
from bench.children import Child
from bench.ground import Ground
from bench.http_load import Load, paced
from bench.metrics import exported
from bench.rounds import compare
from bench.stream import committed

REQUESTS = 40
"""Requests of one round: enough to see the slowest of a hundred over five rounds."""
RATES = (1.0, 4.0)
SHORT_BATCH_MS = 250.0
SHARES = (0.5, 0.95, 0.99)
STREAM_GOAL = {1.0: Goal(at_least=0.9)}
_BACKLOG = "/bench/backlog"
_MARGIN = 1.3
_LOOK_S = 0.1


async def run(context: Context) -> AsyncGenerator[Result | Skipped, None]:
    """Two children with one model each take turns: `all` over a backlog that never ends, and `api`, which is idle."""
    ground = await context.ground()
    room = await ground.room()
    bare = await context.bare()
    streaming = await context.child("cli.main", "all", settings={**room, "port": 0})
    idle = await context.child("cli.main", "api", settings={**room, "port": 0})
    loaded_url, idle_url = await streaming.line("http://"), await idle.line("http://")
    streaming.pause()
    idle.pause()
    backlog = Backlog(context, ground, room, streaming, loaded_url)
    await backlog.measure(bare)
    for per_second in RATES:
        requests = max(4, round(REQUESTS * context.seconds / 10)) if not context.quick else 4
        loaded = Calls(context, per_second, requests, loaded_url)
        alone = Calls(context, per_second, requests, idle_url)
        window_s = requests / per_second

        async def quiet(_: int, window_s: float = window_s) -> float:
            return await backlog.rate(asyncio.sleep(window_s), window_s)

        async def disturbed(_: int, calls: Calls = loaded, window_s: float = window_s) -> float:
            return await backlog.rate(calls.make(), window_s)

        ratio = await compare(disturbed, quiet, context.repetitions, warm_up=False)
        idle.resume()
        for _ in range(context.repetitions):
            await alone.make()
        idle.pause()
        at = f"{per_second:g} request{'s' if per_second > 1 else ''}/s"
        for share in SHARES:
            yield Result(f"{at}, p{share * 100:g}, idle", bare.engine, "ms", alone.percentiles(share))
            yield Result(f"{at}, p{share * 100:g}, backlog", bare.engine, "ms", loaded.percentiles(share))
        yield Result(f"{at}, the first after a silence, backlog", bare.engine, "ms", loaded.unannounced)
        over = loaded.pooled(0.99) - alone.pooled(0.99)
        goal = Goal(at_most=SHORT_BATCH_MS)
        yield Result(f"{at}, p99, backlog - idle", bare.engine, "ms", (over,), goal, "over all rounds")
        raw = ratio.raw("with requests", "without")
        goal_kept = STREAM_GOAL.get(per_second)
        yield Result(f"stream with {at} / without", bare.engine, "ratio", ratio.ratios, goal_kept, raw=raw)


class Calls:
    """Requests at a steady pace."""

    def __init__(self, context: Context, per_second: float, requests: int, url: str) -> None:
        self._images = context.images
        self._per_second = per_second
        self._requests = requests
        self._url = f"{url}/predict"
        self._firsts: list[Load] = []
        self._loads: list[Load] = []

    async def make(self) -> None:
        """One request that nobody announced, then the others; both are kept apart."""
        first = await paced(self._url, self._images.take(1), self._per_second)
        load = await paced(self._url, self._images.take(self._requests), self._per_second)
        for one in (first, load):
            one.check()
        self._firsts.append(first)
        self._loads.append(load)

    @property
    def unannounced(self) -> tuple[float, ...]:
        """Milliseconds of the first request of each round."""
        return tuple(first.percentile_ms(1) for first in self._firsts)

    def percentiles(self, share: float) -> tuple[float, ...]:
        """Milliseconds, of each round."""
        return tuple(load.percentile_ms(share) for load in self._loads)

    def pooled(self, share: float) -> float:
        """Milliseconds, of all rounds together."""
        return Load(tuple(answer for load in self._loads for answer in load.answers), 0).percentile_ms(share)


class Backlog:
    """Records in Kafka that outlast each round."""

    def __init__(self, context: Context, ground: Ground, room: dict[str, Any], child: Child, url: str) -> None:
        self._workload = context.images
        self._quick = context.quick
        self._settled = 2 if context.quick else 2 * context.settings.max_batch
        self._ground = ground
        self._room = room
        self._child = child
        self._url = url
        self._published = 0
        self._per_second = 0.0

    async def measure(self, bare: Bare) -> None:
        """Learn how fast the stream can be, so that every round has enough."""
        self._per_second = await bare.rate(24 if self._quick else 96)

    async def rate(self, meanwhile: Any, seconds: float) -> float:
        """Images of the stream a second, from /metrics, while `meanwhile` runs for about `seconds`.

        From the end of one batch to that of another: a round has few, and a part of one would count for nothing.
        """
        await self._fill(seconds)
        self._child.resume()
        # A batch or two first: what was resumed runs evenly then.
        before, begun = await self._beyond(await self._computed() + self._settled - 1)
        await meanwhile
        after, ended = await self._beyond(await self._computed())
        if await committed(self._room["database_url"], _BACKLOG) >= self._published:
            raise Skipped("the backlog ran out before the round was over: the machine's speed changed too much")
        self._child.pause()
        return (after - before) / (ended - begun)

    async def _fill(self, seconds: float) -> None:
        """Publish until the backlog outlasts so many seconds, a start and what is in flight."""
        waiting = self._published - await committed(self._room["database_url"], _BACKLOG)
        missing = int((seconds + 5) * self._per_second * _MARGIN) + 64 - waiting
        if missing > 0:
            images = await asyncio.to_thread(self._workload.take, missing)
            await self._ground.publish(self._room["kafka_topic"], images, _BACKLOG, self._published)
            self._published += missing

    async def _beyond(self, images: float) -> tuple[float, float]:
        """How many were computed as soon as a batch ends with more than so many, and when (time.perf_counter)."""
        while (computed := await self._computed()) <= images:
            self._child.check()
            await asyncio.sleep(_LOOK_S)
        return computed, time.perf_counter()

    async def _computed(self) -> float:
        return (await exported(self._url)).total("scorer_inference_images_total", origin="kafka")


CASE = Case("mixed", "latency of /predict over a deep backlog against idle, and what the stream loses", run)
