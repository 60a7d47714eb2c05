"""What the consumer asks and hands over, and what the store answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from schemas.events import ImageEvent
from schemas.predictions import Prediction
from schemas.records import Coordinates

Decision = Literal["redelivered", "duplicate", "conflict"]
"""redelivered: this very record was. duplicate, conflict: its identity was, with the same or with another content."""
ScoreOutcome = Literal["scored", "redelivered", "duplicate", "conflict"]
DeadLetterOutcome = Literal["dead_lettered", "redelivered"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One record before it is scored. Where the envelope could not be read there are only coordinates."""

    at: Coordinates
    source: str | None
    event_id: str | None
    digest: str | None
    """Of the envelope's content: `ImageEvent.digest()`."""


@dataclass(frozen=True, slots=True)
class NewScore:
    """One record's answer, to be written."""

    at: Coordinates
    event: ImageEvent
    digest: str
    """Of the envelope's content: `ImageEvent.digest()`."""
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Written:
    """What became of each input, in the order given. A conflict is reported only: no row was written for it."""

    outcomes: tuple[ScoreOutcome, ...]
    dead_letters: tuple[DeadLetterOutcome, ...]
    scored_at: datetime
    """The transaction's time, which new rows carry."""
