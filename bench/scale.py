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
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from bench.alone import run_alone
from bench.cases import Case, Context, Goal, Options, Result, Skipped
from bench.children import Child
from bench.ground import Ground, query
from bench.past_rows import fill
from bench.stream import between_commits
from broker.clients import open_admin

_LOOK_S = 0.1
_SESSION_S = 40
"""Longer than a consumer holds still; a quarter of it is how late one hears of another that joins."""
_KB = 1000
_ROOM_KB = 7900
"""The largest record: 8 MB with what Kafka and the envelope add."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement; what an axis does not vary stays as it is here."""

    label: str
    partitions: int = 12
    kilobytes: float = 10
    records: int = 20_000
    rows: int = 0
    """In the store before."""
    consumers: int = 1
    model: bool = False
    """The real model with one thread a consumer, real images."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Points in order; each is compared with the one at `base`."""

    name: str
    points: tuple[Point, ...]
    goal: Goal
    base: int = 0
    by_bytes: bool = False
    """Compared by megabytes a second: a larger record is more work."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How far to go."""

    rows_max: int = 1_000_000
    backlog_max: int = 100_000
    axes: tuple[str, ...] = ()
    """Empty: all."""

    def chosen(self, *, quick: bool) -> list[Axis]:
        """The axes, up to what was asked for."""
        found = [axis for axis in self._all() if not self.axes or axis.name in self.axes]
        return [_small(axis) for axis in found] if quick else found

    def _all(self) -> Iterator[Axis]:
        yield Axis(
            "partitions",
            tuple(Point(f"{count} partitions", partitions=count) for count in (12, 1, 100)),
            Goal(at_least=0.8),
        )
        sizes = ((10, 20_000), (100, 4_000), (1_000, 400), (_ROOM_KB, 50))
        yield Axis(
            "size",
            tuple(Point(f"{kilobytes} KB", kilobytes=kilobytes, records=records) for kilobytes, records in sizes),
            Goal(at_least=1.0),
            by_bytes=True,
        )
        backlogs = [count for count in (10_000, 1_000, 100_000) if count <= self.backlog_max]
        yield Axis("backlog", tuple(Point(f"{count} records", records=count) for count in backlogs), Goal(at_least=0.8))
        rows = [count for count in (10_000, 100_000, 1_000_000, 10_000_000) if count <= self.rows_max]
        yield Axis("rows", tuple(Point(f"{count} rows", rows=count) for count in rows), Goal(at_least=0.8))
        yield Axis(
            "consumers",
            tuple(Point(f"{count} consumers", records=240, consumers=count, model=True) for count in (1, 2)),
            Goal(at_least=1.0),
        )

    async def run(self, context: Context) -> AsyncGenerator[Result | Skipped, None]:
        """Axis by axis; the points of one take turns."""
        ground = await context.ground()
        for axis in self.chosen(quick=context.quick):
            stores = {point: await _store(ground, point) for point in axis.points}
            measured: dict[Point, list[Pass]] = {point: [] for point in axis.points}
            for number in range(context.repetitions):
                for point in axis.points[:: -1 if number % 2 else 1]:
                    measured[point].append(await _pass(context, ground, point, stores[point]))
            for result in _rows(axis, measured, context.settings.memory_budget_mb):
                yield result


@dataclass(frozen=True, slots=True)
class Pass:
    """One backlog, worked off."""

    records_per_s: float
    memory_mib: float
    """The most that one consumer had in memory."""


def _small(axis: Axis) -> Axis:
    """The least that shows that it works: two points, few records."""
    points = [
        Point(point.label, point.partitions, point.kilobytes, min(point.records, 200), min(point.rows, 1000),
              point.consumers)
        for point in axis.points[:2]
    ]  # fmt: skip
    return Axis(axis.name, tuple(points), axis.goal, by_bytes=axis.by_bytes)


async def _store(ground: Ground, point: Point) -> str:
    """URL of a schema with as many rows as the point wants."""
    url = await ground.schema()
    if point.rows:
        await fill(url, point.rows)
    return url


async def _pass(context: Context, ground: Ground, point: Point, url: str) -> Pass:
    """Consumers join, then hold still while the backlog is published, then work it off."""
    mine = {"database_url": url, "kafka_session_timeout_s": _SESSION_S}
    room = {**await ground.room(point.partitions), **mine}
    consumers = [await _consumer(context, point, room) for _ in range(point.consumers)]
    try:
        await _joined(ground, room["kafka_group_id"], point.consumers)
        for consumer in consumers:
            consumer.pause()
        await ground.publish(room["kafka_topic"], _records(context, point))
        begun = time.time()
        for consumer in consumers:
            consumer.resume()
        most = 0.0
        while await _scored(url, room["kafka_topic"]) < point.records:
            for consumer in consumers:
                consumer.check()
                most = max(most, consumer.resident_mib() or 0.0)
            await asyncio.sleep(_LOOK_S)
        commits = await _commits(url, room["kafka_topic"])
    finally:
        for consumer in consumers:
            await consumer.stop()
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


async def _joined(ground: Ground, group: str, members: int) -> None:
    """Wait until all are members and have their partitions."""
    async with open_admin(ground.settings) as admin, asyncio.timeout(60):
        while True:
            with suppress(KafkaError):  # a cluster's first group: there is no coordinator yet
                answer: Any = (await admin.describe_consumer_groups([group]))[0]
                _, _, state, _, _, there, *_ = answer.groups[0]
                if state == "Stable" and len(there) == members:
                    return
            await asyncio.sleep(_LOOK_S)


def _records(context: Context, point: Point) -> Iterator[bytes]:
    """Values that no consumer has seen; for the model's sake real images."""
    if point.model:
        yield from context.images.read(point.records, int.from_bytes(os.urandom(3), "big"))
        return
    size = int(point.kilobytes * _KB)
    filling = os.urandom(size)
    for number in range(point.records):
        yield b"\xff\xd8\xff" + number.to_bytes(8, "big") + filling[11:]


async def _scored(url: str, topic: str) -> int:
    ((rows,),) = await query(url, "SELECT count(*) FROM scores WHERE kafka_topic = %s", topic)
    return int(rows)


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
    return Case("scale", "throughput and memory against consumers, partitions, sizes, backlog, rows", scale.run,
                by_engine=False)  # fmt: skip


CASE = case(Scale())

if __name__ == "__main__":
    main()
