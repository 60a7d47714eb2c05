"""What a run left behind, as plain data: what was sent, what stands in topics and tables, what was committed when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

MARKER = "test-marker"
"""Header with a number of its own on every record: by it memory and topic are matched."""
ORIGIN = "streamscorer-origin"

Fate = Literal["scored", "dead", "tombstone"]
Headers = tuple[tuple[str, bytes], ...]
Place = tuple[int, int]
"""(partition, offset)"""
Answer = tuple[int, float]
"""(class, probability)"""


@dataclass(frozen=True, slots=True)
class Expected:
    """What must become of a record, were it alone in the world."""

    fate: Fate
    reasons: frozenset[str] = frozenset()
    """Of a dead letter: any of these."""
    source: str | None = None
    event_id: str | None = None
    """None: the event has no id, so the record's own coordinates name it."""
    picture: str | None = None
    """Lower hex sha256 of the image that is scored."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One record that was handed to the producer."""

    marker: str
    expected: Expected
    at: Place | None = None
    """What Kafka acknowledged; None: no answer came, so the record may be in the topic or not."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One record as it stands in a topic."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: str | None
    """Lower hex sha256 of the value; None where there is none."""
    headers: Headers

    @property
    def place(self) -> Place:
        return self.partition, self.offset

    def header(self, name: str) -> str | None:
        """The last header of that name, as text."""
        return next((value.decode() for key, value in reversed(self.headers) if key == name), None)


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One row of `scores`."""

    place: Place
    timestamp_ms: int
    source: str
    event_id: str
    model_version: str
    answer: Answer
    picture: str
    seen: int
    """Number of the first sample that showed it; the number of samples where only the last look did."""
    at_s: float = 0.0
    """Its transaction's time, in seconds since 1970."""
    changed: bool = False
    """It was updated after it was inserted."""


@dataclass(frozen=True, slots=True)
class LetterRow:
    """One row of `dead_letters`."""

    place: Place
    timestamp_ms: int
    reason: str
    message: str
    key: bytes | None
    value: str | None
    """Lower hex sha256 of the stored value; None where the row has none."""
    headers: Headers
    seen: int
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A look during the run: offsets first, then the tables, so that what lies below an offset must be decided."""

    at_s: float
    """time.time()"""
    committed: Mapping[int, int]


@dataclass(frozen=True)
class History:
    """All of it, of one topic and one group."""

    cluster: str
    topic: str
    sent: Sequence[Sent]
    records: Sequence[Kept]
    letters: Sequence[Kept]
    """The DLQ topic."""
    scores: Sequence[ScoreRow]
    dead_letters: Sequence[LetterRow]
    reference: Mapping[str, Answer]
    """What an offline run says about each picture, by its sha256."""
    committed: Mapping[int, int]
    ends: Mapping[int, int]
    samples: Sequence[Sample] = field(default_factory=tuple)

    def origin(self, record: Kept) -> str:
        """What the header of that name says on the dead letter of `record`."""
        return f"{self.cluster}/{self.topic}/{record.partition}/{record.offset}/{record.timestamp_ms}"
