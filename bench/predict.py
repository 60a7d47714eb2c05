"""Layer cost of a request: POST /predict from many connections on this machine, against the bare loop."""

import asyncio
from collections.abc import AsyncGenerator

from bench.cases import Case, Context, Goal, Result, Skipped
from bench.children import Child
from bench.http_load import Load, load
from bench.rounds import compare
from bench.stream import cpu_ratio

CONCURRENCY = 32
GOALS = {"fp32": Goal(at_least=0.93), "bf16": Goal(at_least=0.85), "int8": Goal(at_least=0.75)}


async def run(context: Context) -> AsyncGenerator[Result | Skipped, None]:
    """Two services take turns with the bare loop: ours, and one that only reads the body."""
    room = await (await context.ground()).room()
    child, bare = await context.beside_bare("api", settings={**room, "port": 0})
    hollow = await context.child("bench.hollow")
    service = Service(context, child, f"{await child.line('http://')}/predict")
    nothing = Service(context, hollow, await hollow.line("http://"))
    images = await bare.how_many(context.seconds, quick=context.quick)

    async def ours(number: int) -> float:
        return await service.rate(number, images)

    async def floor(_: int) -> float:
        return await bare.rate(images)

    ratio = await compare(ours, floor, context.repetitions, warm_up=not context.quick)
    goal = GOALS.get(bare.engine.split()[1])
    raw = ratio.raw("/predict", "bare loop")
    at = f"/predict at {CONCURRENCY}"
    yield Result(f"{at} / bare loop", bare.engine, "ratio", ratio.ratios, goal, raw=raw)
    yield cpu_ratio("/predict", bare, service.cpu_us, context.repetitions)
    yield Result(at, bare.engine, "images/s", ratio.a, note=f"{images} images a round")
    yield Result("bare loop", bare.engine, "images/s", ratio.b, note=f"batches of {bare.batch}")
    yield Result(f"{at}, p99", bare.engine, "ms", tuple(one.percentile_ms(0.99) for one in service.loads))
    busy = tuple(1e6 * one.client_cpu_s / len(one.answers) for one in service.loads)
    yield Result("client's CPU a request", bare.engine, "us", busy, note="taken from the service's share")
    rate = await nothing.rate(context.repetitions + 1, images)
    yield Result("an endpoint that only reads", "", "requests/s", (rate,), note="the same client and bodies")


class Service:
    """A service in a child, which holds still between its rounds."""

    def __init__(self, context: Context, child: Child, url: str) -> None:
        self._workload = context.images
        self._concurrency = 8 if context.quick else CONCURRENCY
        self._child = child
        self._url = url
        self.loads: list[Load] = []
        self.cpu_us: list[float] = []
        """CPU time of the service for an image, microseconds, each round."""
        child.pause()

    async def rate(self, number: int, images: int) -> float:
        """Answers a second over so many new images."""
        bodies = await asyncio.to_thread(self._workload.take, images)
        before = self._child.cpu_s()
        self._child.resume()
        loaded = await load(self._url, bodies, self._concurrency)
        self._child.pause()
        self.cpu_us.append(1e6 * (self._child.cpu_s() - before) / images)
        if number:
            self.loads.append(loaded)
        return loaded.rate(self._concurrency)


CASE = Case("predict", "POST /predict from 32 connections, against decode and forward pass in a bare loop", run)
