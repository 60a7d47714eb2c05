"""The same bytes again and again, through both doors: how often the model runs, and what a repeated answer costs."""

import asyncio
import time
from collections.abc import AsyncGenerator

from bench.cases import Case, Context, Goal, Result, Skipped
from bench.ground import query
from bench.http_load import load
from bench.metrics import exported
from bench.rounds import compare

AT_ONCE = 100
"""Records and requests with the same bytes."""
CONCURRENCY = 32
_LOOK_S = 0.1


async def run(context: Context) -> AsyncGenerator[Result | Skipped, None]:
    if context.settings.cache_entries == 0:
        raise Skipped("SCORER_CACHE_ENTRIES=0: the cache is off")
    ground = await context.ground()
    room = await ground.room()
    child = await context.child("cli.main", "all", settings={**room, "port": 0})
    url = await child.line("http://")
    counts, seconds = [], []
    for number in range(context.repetitions):
        (image,) = context.images.take(1)
        before, begun = (await exported(url)).total("scorer_inference_images_total"), time.perf_counter()
        source = f"/bench/same-{number}"
        await asyncio.gather(
            ground.publish(room["kafka_topic"], [image] * AT_ONCE, source),
            load(f"{url}/predict", [image] * AT_ONCE, CONCURRENCY),
        )
        while not await _all_there(room["database_url"], source):
            child.check()
            await asyncio.sleep(_LOOK_S)
        counts.append((await exported(url)).total("scorer_inference_images_total") - before)
        seconds.append(time.perf_counter() - begun)
    engine = (await exported(url)).engine()
    note = f"of {AT_ONCE} records and {AT_ONCE} requests with the same bytes"
    yield Result("inferences, same bytes", engine, "images", tuple(counts), Goal(at_most=1), note)
    yield Result("until all are answered", engine, "s", tuple(seconds), note=note)

    requests = 2 * CONCURRENCY if context.quick else 10 * CONCURRENCY
    (known,) = context.images.take(1)

    async def hits(_: int) -> float:
        return (await load(f"{url}/predict", [known] * requests, CONCURRENCY)).rate(CONCURRENCY)

    async def misses(_: int) -> float:
        bodies = await asyncio.to_thread(context.images.take, requests)
        return (await load(f"{url}/predict", bodies, CONCURRENCY)).rate(CONCURRENCY)

    ratio = await compare(hits, misses, context.repetitions, warm_up=not context.quick)
    raw = ratio.raw("hit", "miss")
    yield Result(f"/predict at {CONCURRENCY}, hit / miss", engine, "ratio", ratio.ratios, Goal(at_least=1), raw=raw)


async def _all_there(url: str, source: str) -> bool:
    ((rows,),) = await query(url, "SELECT count(*) FROM scores WHERE source = %s", source)
    return bool(rows == AT_ONCE)


CASE = Case("cache", "the same bytes asked 100 times at once over both doors", run)
