"""A refused record: as it goes to the table, as it is read from there, and as it is sent back to its topic."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

from schemas.records import EPOCH, Coordinates, Headers, Record
from schemas.scores import KafkaPosition

ORIGIN = "streamscorer-origin"
"""Header: where a record stood first. Identity rests on it, so it survives every return."""
ERROR_CLASS = "streamscorer-error-class"
DELIVERY_COUNT = "__dlq.delivery.count"
_OURS = "__dlq."

Resolution = Literal["scored", "redriven", "discarded", "erased"]


def _in_utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _base64(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""ISO 8601; UTC where no zone is given."""


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
    origin: str | None = None
    """`str(Coordinates)` of where a record stood first that was sent back; None for any other."""


class StoredDeadLetter(BaseModel):
    """A row of `dead_letters` without its value, which may be large. In JSON, key and header values are base64."""

    model_config = ConfigDict(frozen=True)

    cluster: str
    topic: str
    partition: int
    offset: int
    record_time: AwareDatetime = Field(description="the record's timestamp")
    reason: str
    message: str
    key: Annotated[bytes | None, PlainSerializer(_base64, when_used="json")]
    headers: tuple[tuple[str, Annotated[bytes, PlainSerializer(_base64, when_used="json")]], ...]
    value_size: int | None = Field(description="bytes; null where the record could not be read")
    source: str | None
    event_id: str | None
    delivery_count: int = Field(description="1, and one more for each time that it was sent back")
    failed_at: AwareDatetime
    resolved_at: AwareDatetime | None
    resolution: Resolution | None
    origin: str | None = Field(description="where it stood first, when it had been sent back")
    dlq: KafkaPosition | None = Field(description="where it stands in the DLQ topic")

    @property
    def at(self) -> Coordinates:
        """Where the refused record stood."""
        timestamp_ms = (self.record_time - EPOCH) // timedelta(milliseconds=1)
        return Coordinates(self.cluster, self.topic, self.partition, self.offset, timestamp_ms)

    @property
    def name(self) -> str:
        """As the commands take it: topic, partition, offset."""
        return f"{self.topic} {self.partition} {self.offset}"

    def return_headers(self) -> Headers:
        """The record's own headers, and behind them its first origin and how often it was delivered."""
        own = tuple((name, value) for name, value in self.headers if not name.startswith(_OURS) and name != ERROR_CLASS)
        added = [(DELIVERY_COUNT, str(self.delivery_count).encode())]
        if not any(name == ORIGIN for name, _ in own):
            added.append((ORIGIN, str(self.at).encode()))
        return (*own, *added)


class DeadLetterFilter(BaseModel):
    """Which dead letters: all conditions hold at once; `since` <= failed_at < `until`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str | None = None
    topic: str | None = None
    partition: Annotated[int, Field(ge=0)] | None = None
    since: Moment | None = None
    until: Moment | None = None
    cluster: str | None = None
    unresolved: bool = False
    """Only those that nothing has become of yet."""
