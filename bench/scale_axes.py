"""What the stream is measured against, and how far."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bench.cases import Goal

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
            tuple(Point(f"{count} consumers", records=600, consumers=count, model=True) for count in (1, 2)),
            Goal(at_least=1.0),
        )


def _small(axis: Axis) -> Axis:
    """The least that shows that it works: two points, few records."""
    points = tuple(
        replace(point, records=min(point.records, 200), rows=min(point.rows, 1000), model=False)
        for point in axis.points[:2]
    )
    return replace(axis, points=points)
