"""One assigned partition: what was delivered, what is decided, and up to where its offset may be committed."""

import asyncio
from datetime import datetime

from aiokafka import TopicPartition

from consumer.crashes import Crashes

_FETCHES_AT_ONCE = 8


class Lane:
    """Delivered and undecided records of one partition for as long as it is assigned to us.

    `committable` never passes an undecided record: that is the whole promise of the commit.
    """

    def __init__(self, partition: TopicPartition, start: int, crashes: Crashes | None = None) -> None:
        self.partition = partition
        self.crashes = crashes or Crashes(start)
        self.next_offset = start
        """Offset behind the last delivered record."""
        self.held: str | None = None
        """Why the partition is not polled: its next record waits for this."""
        self.held_since: datetime | None = None
        self.closing = False
        """It is about to be revoked: what is not ready is not worth waiting for."""
        self.revoked = False
        """It belongs to another member now, or to nobody: nothing may be committed for it."""
        self.fetch_slots = asyncio.Semaphore(_FETCHES_AT_ONCE)
        """Fetches of image_uris at once; one slow partition must not take another's."""
        self._undecided: dict[int, int] = {}

    def deliver(self, offset: int, timestamp_ms: int) -> None:
        """A record was polled."""
        self._slide(offset)
        self._undecided[offset] = timestamp_ms
        self.next_offset = offset + 1

    def decide(self, offset: int) -> None:
        """The record has its row, or needs none."""
        self._undecided.pop(offset, None)

    def rewind(self, offset: int) -> None:
        """Forget what was delivered from `offset` on: it will be polled again."""
        self.next_offset = offset
        self._undecided = {known: at for known, at in self._undecided.items() if known < offset}

    def pass_over(self, position: int) -> None:
        """Kafka's own control records, up to `position`, stand where nothing waits for us."""
        if self.idle and position > self.next_offset:
            self._slide(position)
            self.next_offset = position

    def _slide(self, offset: int) -> None:
        """There is nothing between here and `offset`: what is told of the one is told of the other."""
        if self.crashes.offset == self.next_offset:
            self.crashes.offset = offset

    @property
    def idle(self) -> bool:
        return not self._undecided

    @property
    def committable(self) -> int:
        """The first undecided offset, or the one behind the last delivered record."""
        return next(iter(self._undecided), self.next_offset)

    @property
    def oldest_timestamp_ms(self) -> int | None:
        """Timestamp of the oldest undecided record that was polled; None also where nobody knows it (0)."""
        return next(iter(self._undecided.values()), None) or None
