"""Resident memory of a consumer: at rest, under a backlog of large records, under one of many small ones."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator

import numpy as np

from bench.cases import Case, Context, Goal, Result, Skipped
from bench.children import Child
from bench.metrics import exported
from bench.workload import fresh, make

BACKLOGS = ((2_000, 1_000), (100_000, 10))
"""Records, and kilobytes of each."""
FLAT = 1.05
"""Median of the last third of the samples against that of the second: what grows by more is not flat."""
_DIFFERENT = 20
_LOOK_S = 0.25
_SETTLE_S = 3.0


async def run(context: Context) -> AsyncGenerator[Result | Skipped, None]:
    """Each backlog is published while the consumer holds still; then it is watched for `--minutes`."""
    ground = await context.ground()
    budget = Goal(at_most=context.settings.memory_budget_mb)
    resting: list[float] = []
    seconds = 3.0 if context.quick else 60 * context.minutes
    for records, kilobytes in BACKLOGS:
        room = await ground.room()
        child = await context.child("cli.main", "consumer", settings={**room, "health_port": 0})
        engine = (await exported(await child.line("http://"))).engine()
        if child.resident_mib() is None:
            raise Skipped("this system has no /proc: the resident size of a process is not known")
        await asyncio.sleep(_SETTLE_S)
        at_rest = child.resident_mib() or 0.0
        child.pause()
        count = records // 100 if context.quick else records
        await ground.publish(room["kafka_topic"], _records(count, kilobytes))
        child.resume()
        samples = await _watch(child, seconds)
        await child.stop()
        under = f"{count} x {kilobytes} KB"
        raw = {"samples": tuple(samples)}
        resting.append(at_rest)
        yield Result(f"most under {under}", engine, "MiB", (max(samples),), budget, raw=raw)
        third = len(samples) // 3
        growth = float(np.median(samples[-third:]) / np.median(samples[third:-third]))
        name = f"{under}: last third / second"
        yield Result(name, engine, "ratio", (growth,), Goal(at_most=FLAT), f"over {seconds:g} s")
    yield Result("at rest", engine, "MiB", tuple(resting), budget)


async def _watch(child: Child, seconds: float) -> list[float]:
    """MiB, several times a second."""
    samples, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        child.check()
        samples.append(child.resident_mib() or 0.0)
        await asyncio.sleep(_LOOK_S)
    return samples


def _records(count: int, kilobytes: int) -> Iterator[bytes]:
    """Few pictures, made anew as bytes for each record."""
    pictures = [make(0, number, kilobytes=kilobytes) for number in range(_DIFFERENT)]
    return (fresh(pictures[number % _DIFFERENT], number) for number in range(count))


CASE = Case("memory", "resident memory of a consumer at rest and under two backlogs", run)
