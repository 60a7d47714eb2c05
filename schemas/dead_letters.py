"""A refused record, as it goes to the table; the topic gets the record itself."""

from dataclasses import dataclass

from schemas.records import Record
from schemas.scores import KafkaPosition


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused record with its reason in words. Identity is unknown where the envelope could not be read."""

    record: Record
    reason: str
    """Name of the class, e.g. InvalidImage."""
    message: str
    source: str | None = None
    event_id: str | None = None
    delivery_count: int = 1
    digest: str | None = None
    """`ImageEvent.digest()`, where the envelope could be read."""
    published: KafkaPosition | None = None
    """Where the record stands in the DLQ topic: the table keeps no large values."""
