"""Records that end the process: found by what earlier owners of a partition left beside its committed offset."""

import json
from dataclasses import dataclass
from typing import Any, Self

from consumer.budget import FEWEST_RECORDS

_SUSPECT = 2
_GUILTY = 3


@dataclass(slots=True)
class Crashes:
    """How often an owner of the partition ended without a farewell while it worked from one committed offset.

    Once: that may have been anything, but no more than FEWEST_RECORDS are in flight until the offset moves.
    Twice: the records that were in flight are suspects. They are tried one by one, each alone in the process, and each
    is noted in Kafka before it is tried. Guilty is who was alone when two more owners ended; a suspect without company
    when one more did. (While suspects are tried, whoever kills the process hits one of them: once is no proof.) An end
    while the consumer waited for something blames no record.
    """

    offset: int
    """Committed offset that all this is about."""
    ends: int = 0
    tried: bool = False
    """Records from `offset` on are being worked on, and Kafka may know."""
    until: int = 0
    """Offset behind the last suspect."""

    @classmethod
    def read(cls, offset: int, metadata: str, end: int) -> Self:
        """From a committed offset, its metadata (which may be anybody's) and the log's end: none crashed behind it."""
        try:
            left = json.loads(metadata)
            open_, ends, tried, until = (left.get(name) for name in ("open", "ends", "tried", "until"))
        except (ValueError, AttributeError):
            return cls(offset)
        if not open_ or not isinstance(ends, int) or not isinstance(until, int) or offset >= end:
            return cls(offset)
        ends += not ends or bool(tried)
        if ends == _SUSPECT and until <= offset:
            until = min(offset + FEWEST_RECORDS, end)
            ends -= until > offset + 1
        return cls(offset, ends, until=min(until, end))

    def move_to(self, offset: int) -> None:
        """The committed offset moves: what lies behind it has ended nothing, the next suspect was there at one end."""
        if offset != self.offset:
            self.offset, self.tried = offset, False
            self.ends = 1 if self.careful else 0

    def told(self, *, open_: bool, waiting: bool) -> dict[str, Any]:
        """What the next owner reads."""
        return {"open": open_, "ends": self.ends, "tried": self.tried and not waiting, "until": self.until}

    @property
    def cautious(self) -> bool:
        """An owner ended here before: take little at a time."""
        return self.ends > 0

    @property
    def careful(self) -> bool:
        """The next record is a suspect: one at a time."""
        return self.offset < self.until

    @property
    def guilty(self) -> bool:
        """The record at `offset` ended the process again and again."""
        return self.careful and self.ends >= _GUILTY
