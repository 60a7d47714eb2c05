"""Flat where it should be flat: the stream against partitions, image size, backlog, rows in the store, consumers.

The model is not the point: all but the consumers' axis run with a core that answers at once (`instant_core.py`).
`python -m bench.scale` goes further than `streamscorer bench scale`: `--rows-max 10000000` takes 9 GB of disk.
"""

import argparse
import asyncio
import os
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from bench.alone import run_alone
from bench.cases import Case, Context, Goal, Options, Result, Skipped
from bench.children import Child
from bench.ground import Ground, query
from bench.past_rows import fill
from bench.scale_axes import Axis, Point, Scale
from bench.stream import between_commits
from broker.clients import open_admin

_LOOK_S = 0.1
_SESSION_S = 40
"""Longer than a consumer holds still; a quarter of it is how late one hears of another that joins."""
_KB = 1000
_LARGE = 1_000_000
"""Rows from which a store is taken again for the next repetition: it has grown by little."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One backlog, worked off."""

    records_per_s: float
    memory_mib: float
    """The most that one consumer had in memory."""


async def _run(scale: Scale, context: Context) -> AsyncGenerator[Result | Skipped, None]:
    """Axis by axis; the points of one take turns."""
    ground = await context.ground()
    for axis in scale.chosen(quick=context.quick):
        stores = {point: await _store(ground, point) for point in axis.points}
        measured: dict[Point, list[Pass]] = {point: [] for point in axis.points}
        for number in range(context.repetitions):
            for point in axis.points[:: -1 if number % 2 else 1]:
                store = stores[point] if point.rows >= _LARGE or number == 0 else await _store(ground, point)
                measured[point].append(await _pass(context, ground, point, store))
        for result in _rows(axis, measured, context.settings.memory_budget_mb):
            yield result


async def _store(ground: Ground, point: Point) -> str:
    """URL of a schema with as many rows as the point wants."""
    url = await ground.schema()
    if point.rows:
        await fill(url, point.rows)
    return url


async def _pass(context: Context, ground: Ground, point: Point, store: str) -> Pass:
    """Consumers join, then hold still while the backlog is published, then work it off."""
    mine = {"database_url": store, "kafka_session_timeout_s": _SESSION_S}
    room = {**await ground.room(point.partitions), **mine}
    topic, group = room["kafka_topic"], room["kafka_group_id"]
    consumers = [await _consumer(context, point, room) for _ in range(point.consumers)]
    try:
        async with open_admin(ground.settings) as admin:
            await _joined(admin, group, point.consumers)
            for consumer in consumers:
                consumer.pause()
            await ground.publish(topic, _records(context, point))
            begun = time.time()
            for consumer in consumers:
                consumer.resume()
            most = 0.0
            # Asked of Kafka: to count the rows would cost the more the more there are.
            while await _committed(admin, group) < point.records:
                for consumer in consumers:
                    consumer.check()
                    most = max(most, consumer.resident_mib() or 0.0)
                await asyncio.sleep(_LOOK_S)
    finally:
        for consumer in consumers:
            await consumer.stop()
    commits = await _commits(store, topic)
    async with open_admin(ground.settings) as admin:
        await admin.delete_topics([topic])  # a run would else fill the disk
    # In a single commit: the smoke.
    return Pass(between_commits(commits) or point.records / (commits[-1][0] - begun), most)


async def _consumer(context: Context, point: Point, room: dict[str, Any]) -> Child:
    if not point.model:
        child = await context.child("bench.instant_consumer", settings=room)
        await child.line("{")
        return child
    child = await context.child("cli.main", "consumer", settings={**room, "threads": 1, "health_port": 0})
    await child.line("http://")
    return child


async def _joined(admin: AIOKafkaAdminClient, group: str, members: int) -> None:
    """Wait until all are members and have their partitions."""
    async with asyncio.timeout(60):
        while True:
            with suppress(KafkaError):  # a cluster's first group: there is no coordinator yet
                answer: Any = (await admin.describe_consumer_groups([group]))[0]
                _, _, state, _, _, there, *_ = answer.groups[0]
                if state == "Stable" and len(there) == members:
                    return
            await asyncio.sleep(_LOOK_S)


async def _committed(admin: AIOKafkaAdminClient, group: str) -> int:
    """Records before the group's offsets, of all partitions."""
    found = await admin.list_consumer_group_offsets(group)
    return sum(max(at.offset, 0) for at in found.values())


def _records(context: Context, point: Point) -> Iterator[bytes]:
    """Values that no consumer has seen; for the model's sake real images."""
    if point.model:
        yield from context.images.read(point.records, int.from_bytes(os.urandom(3), "big"))
        return
    size = int(point.kilobytes * _KB)
    filling = os.urandom(size)
    for number in range(point.records):
        yield b"\xff\xd8\xff" + number.to_bytes(8, "big") + filling[11:]


async def _commits(url: str, topic: str) -> list[tuple[Any, ...]]:
    return await query(
        url,
        "SELECT extract(epoch FROM scored_at)::float8 AS at, count(*) FROM scores WHERE kafka_topic = %s "
        "GROUP BY 1 ORDER BY 1",
        topic,
    )


def _rows(axis: Axis, measured: dict[Point, list[Pass]], budget_mb: int) -> Iterator[Result]:
    base = axis.points[axis.base]
    for point, passes in measured.items():
        rates = tuple(one.records_per_s for one in passes)
        yield Result(f"{axis.name}: {point.label}", "", "records/s", rates)
        yield Result(f"{axis.name}: {point.label}, memory", "", "MiB", tuple(one.memory_mib for one in passes),
                     Goal(at_most=budget_mb))  # fmt: skip
        if point != base:
            work = point.kilobytes / base.kilobytes if axis.by_bytes else 1.0
            ratios = tuple(one.records_per_s * work / other.records_per_s
                           for one, other in zip(passes, measured[base], strict=True))  # fmt: skip
            unit = "by bytes, " if axis.by_bytes else ""
            yield Result(f"{axis.name}: {unit}{point.label} / {base.label}", "", "ratio", ratios, axis.goal)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print each row as soon as it is known; everything as JSON in the end, where a file is named."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    names = [axis.name for axis in Scale().chosen(quick=False)]
    parser.add_argument("--axes", nargs="+", choices=names, default=[])
    parser.add_argument("--rows-max", type=int, default=Scale().rows_max, help="rows in the store before")
    parser.add_argument("--backlog-max", type=int, default=Scale().backlog_max)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="the least that shows that it works")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    given = parser.parse_args(arguments)
    scale = Scale(given.rows_max, given.backlog_max, tuple(given.axes))
    run_alone(case(scale), Options(given.repetitions, quick=given.quick), given.json)


def case(scale: Scale) -> Case:
    """The case that goes so far."""
    measures = "throughput and memory against consumers, partitions, sizes, backlog, rows"
    return Case("scale", measures, partial(_run, scale), by_engine=False)


CASE = case(Scale())

if __name__ == "__main__":
    main()
