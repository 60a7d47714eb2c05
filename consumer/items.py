"""A record on its way through the hops, and the batch it travels in."""

import asyncio
from dataclasses import dataclass, field

from consumer.lanes import Lane
from errors import Invalid
from schemas.events import ImageEvent
from schemas.predictions import Prediction
from schemas.records import Record
from schemas.scores import KafkaPosition
from telemetry import Outcome


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

    @property
    def size(self) -> int:
        """Bytes that all its records hold."""
        return sum(item.size for item in self.items)

    def open(self) -> list[Item]:
        """What is not decided yet."""
        return [item for item in self.items if item.outcome is None]
