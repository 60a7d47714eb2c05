"""A record on its way through the hops, and the batch it travels in."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from consumer.lanes import Lane
from errors import Invalid
from schemas.events import ImageEvent
from schemas.predictions import Prediction
from schemas.records import Record
from schemas.scores import KafkaPosition
from telemetry import Hop, Outcome

if TYPE_CHECKING:
    from tracing.spans import Span

_SHOWN = 8
"""Partitions of a batch that its log line names."""


@dataclass(slots=True, eq=False)
class Item:
    """One record with all that the hops find out about it. It is decided once `outcome` is set."""

    record: Record
    lane: Lane
    event: ImageEvent | None = None
    digest: str | None = None
    """Envelope digest."""
    image: bytes | None = None
    """Encoded image, from the envelope or fetched."""
    fetched_bytes: int = 0
    """Of the image, where it was not in the record."""
    fetching: asyncio.Task[None] | None = None
    prediction: Prediction | None = None
    refusal: Invalid | None = None
    """Why the record becomes a dead letter."""
    dead_letter_at: KafkaPosition | None = None
    """Where the dead letter stands on its topic."""
    outcome: Outcome | None = None
    span: "Span | None" = None
    """In the trace of its producer, where that keeps it and traces are on."""

    @property
    def content_digest(self) -> str | None:
        """SHA-256 of the image, where the record holds it: the envelope digest of a claim check is that of its URI."""
        return self.digest if self.event is not None and isinstance(self.event.image, bytes) else None

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return self.record.size + self.fetched_bytes

    @property
    def ready(self) -> bool:
        """Nothing outside has to answer before it can be scored."""
        return self.fetching is None or self.fetching.done()


@dataclass(slots=True, eq=False)
class Batch:
    """Records that go through the hops together; of one partition always in offset order."""

    items: list[Item]
    scoring: asyncio.Task[None] | None = field(default=None)
    polled_ns: int = field(default_factory=time.time_ns)
    hops: list[tuple[Hop, int, int]] = field(default_factory=list)
    """Hops that are over: (which, began, ended), time.time_ns()."""
    span: "Span | None" = None
    """Its own, where it is traced."""

    @property
    def size(self) -> int:
        """Bytes that all its records hold."""
        return sum(item.size for item in self.items)

    def open(self) -> list[Item]:
        """What is not decided yet."""
        return [item for item in self.items if item.outcome is None]

    def only(self, items: list[Item]) -> "Batch":
        """The batch as if it had never held the others."""
        return Batch(items, polled_ns=self.polled_ns, hops=self.hops)

    def places(self) -> str:
        """Where its records come from, `partition:first offset-last`, of some partitions at most."""
        ends: dict[int, tuple[int, int]] = {}
        for item in self.items:
            partition, offset = item.record.at.partition, item.record.at.offset
            ends[partition] = (ends.get(partition, (offset, offset))[0], offset)
        shown = [
            f"{partition}:{first}-{last}" if first < last else f"{partition}:{last}"
            for partition, (first, last) in sorted(ends.items())
        ]
        more = [f"and {len(shown) - _SHOWN} more"] if len(shown) > _SHOWN else []
        return " ".join(shown[:_SHOWN] + more)
