"""What it costs to watch the lag of a group, and how soon `lag` answers, at 1, 100 and 1,000 partitions.

The group has one member, which commits every partition every five seconds, with its condition beside the offset, as
ours do; records arrive all the time. The requests are counted in the monitor's own process.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, OffsetAndMetadata

from bench.cases import Case, Context, Goal, Result, Skipped
from bench.children import Child
from bench.ground import Ground
from broker.clients import build_consumer

PARTITIONS: Final = (1, 100, 1000)
QUICK_PARTITIONS: Final = (1, 20)
REQUESTS = Goal(at_most=60)
CPU = Goal(at_most=2)
ANSWER = Goal(at_most=2)
_COMMITS_S: Final = 5.0
_RECORDS: Final = 100
_RECORD: Final = bytes(1000)
_SETTLE_S: Final = 7.5
"""After the monitor's first looks, and between two of them: each window holds whole looks."""


async def run(context: Context) -> AsyncGenerator[Result | Skipped, None]:
    ground = await context.ground()
    for partitions in QUICK_PARTITIONS if context.quick else PARTITIONS:
        room = await ground.room(partitions)
        async with _group(ground, room):
            costs = await _watched(context, room)
            answers = tuple([await _answered(context, room) for _ in range(context.repetitions)])
        name = f"{partitions} partition" + ("s" if partitions != 1 else "")
        spans = [(after, before, after["at"] - before["at"]) for before, after in pairwise(costs)]
        requests = tuple(60 * (after["requests"] - before["requests"]) / took for after, before, took in spans)
        cpu = tuple(100 * (after["cpu_s"] - before["cpu_s"]) / took for after, before, took in spans)
        yield Result(f"{name}: requests of the monitor", "", "requests/min", requests, REQUESTS)
        yield Result(f"{name}: CPU of the monitor", "", "%", cpu, CPU, "of one core")
        yield Result(f"{name}: `lag` answers after", "", "s", answers, ANSWER, "from the start of the process")


@asynccontextmanager
async def _group(ground: Ground, room: dict[str, Any]) -> AsyncIterator[None]:
    """A member with all partitions, working until the end of the context."""
    settings = ground.settings.model_copy(update={name: room[name] for name in ("kafka_topic", "kafka_group_id")})
    consumer = build_consumer(settings, partition_fetch_bytes=len(_RECORD))
    consumer.subscribe([settings.kafka_topic])
    await consumer.start()
    try:
        consumer.pause(*consumer.assignment())  # its records are of no interest
        await _commit(ground, consumer)
        working = asyncio.create_task(_work(ground, consumer), name="work")
        try:
            yield
        finally:
            working.cancel()
            await asyncio.wait([working])
        if not working.cancelled():
            working.result()
    finally:
        await consumer.stop()


async def _work(ground: Ground, consumer: AIOKafkaConsumer) -> None:
    while True:
        await asyncio.sleep(_COMMITS_S)
        await _commit(ground, consumer)


async def _commit(ground: Ground, consumer: AIOKafkaConsumer) -> None:
    """Up to where the log ended a moment ago: what is published now waits for the next time."""
    ends = await consumer.end_offsets(consumer.assignment())
    (topic,) = consumer.subscription()
    await ground.publish(topic, [_RECORD] * _RECORDS)
    now = datetime.now(UTC)
    told = {"at": now.isoformat(), "state": "running", "why": None, "since": None, "rate": _RECORDS / _COMMITS_S}
    metadata = json.dumps({**told, "oldest_ts": int(now.timestamp() * 1000), "bound": "engine", "open": True})
    await consumer.commit({place: OffsetAndMetadata(end, metadata) for place, end in ends.items()})


async def _watched(context: Context, room: dict[str, Any]) -> list[dict[str, float]]:
    """What the monitor had cost at the beginning of each round, and at the end."""
    often = {"lag_interval_s": 0.5} if context.quick else {}  # else the smoke would see no look
    monitor = await context.child("bench.counted_monitor", settings={**room, "health_port": 0, **often})
    await monitor.line("http://")
    await asyncio.sleep(_SETTLE_S)
    costs = [await _cost(monitor)]
    for _ in range(context.repetitions):
        await asyncio.sleep(context.seconds)
        costs.append(await _cost(monitor))
    await monitor.stop()
    return costs


async def _cost(monitor: Child) -> dict[str, float]:
    os.kill(monitor.pid, signal.SIGUSR1)
    told: dict[str, float] = json.loads(await monitor.line("{"))
    return told


async def _answered(context: Context, room: dict[str, Any]) -> float:
    """Seconds from the start of `streamscorer lag` to its verdict."""
    begun = time.monotonic()
    child = await context.child("cli.main", "lag", settings=room)
    await child.line("")
    took = time.monotonic() - begun
    await child.stop()
    return took


CASE = Case("watching", "what it costs to watch the lag, and how soon `lag` answers", run, by_engine=False)
