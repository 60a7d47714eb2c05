"""What is remembered of one partition from one sample to the next, and how old its oldest record is."""

from typing import Final, Literal

from broker.samples import PartitionSample
from monitor.rates import Flow
from monitor.window import Window
from schemas.lag import Status

_POINTS: Final = 13

Age = tuple[float | None, Literal["consumer", "record"] | None]
"""Seconds that the oldest record waits, and who says so; None where nobody does."""


class Partition:
    """The memory of one partition. `silence_s`: after so long without a commit its consumer's word is old."""

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self.window = Window()
        self.flow = Flow(points=_POINTS)
        self.sample: PartitionSample | None = None
        self.status: Status | None = None
        self.since: float | None = None
        self.owner: str | None = None
        """The last one: while the group joins, nobody is told to have it."""
        self.taken: float | None = None
        self._waited = False
        """The oldest record that waits was there at the sample before."""
        self._record: tuple[int, float] | None = None
        """An offset, and the timestamp of the record there."""

    def add(self, found: PartitionSample, now: float, *, first: bool) -> tuple[int, int]:
        """The next sample; `first` of its group. Returns what was consumed and produced since the last one."""
        went, came = _grown(self.sample, found)
        self.flow.add(now, consumed=went, produced=came, lag=found.lag)
        self.window.add(found, now)
        if found.owner is not None and found.owner != self.owner:
            self.owner, self.taken = found.owner, None if first else now
        self._waited = self.sample is not None and due(found) < self.sample.end
        self.sample = found
        return went, came

    def fresh(self, now: float) -> bool:
        """Its consumer has committed of late."""
        last = self.window.last_commit
        return last is not None and now - last <= self._silence_s

    def learn(self, timestamp: float) -> None:
        """The timestamp of the oldest record that waits."""
        if self.sample is not None:
            self._record = (due(self.sample), timestamp)

    def ageless(self, now: float) -> bool:
        """Records wait, and nobody has said how old the oldest one is."""
        told, sample = self.window.told, self.sample
        if sample is None or not sample.lag or (told is not None and told.oldest is not None):
            return False
        return not self._had_nothing(now) and (self._record is None or self._record[0] != due(sample))

    def age(self, now: float) -> Age:
        """How old the oldest record is that waits."""
        sample, told, last = self.sample, self.window.told, self.window.last_commit
        if sample is None or not sample.lag:
            return 0.0, None
        if told is not None and told.oldest is not None:
            return max(0.0, now - told.oldest), "consumer"
        if self._record is not None and self._record[0] == due(sample):
            return max(0.0, now - self._record[1]), "record"
        if last is not None and self._had_nothing(now):
            return now - last, "consumer"
        return None, None

    def _had_nothing(self, now: float) -> bool:
        """When its consumer last said something, and nothing waited when we looked before: what waits came later."""
        told = self.window.told
        return self.fresh(now) and not self._waited and told is not None and not told.stuck


def due(sample: PartitionSample) -> int:
    """Offset of the oldest record that waits."""
    return max(sample.beginning, sample.committed or 0)


def _grown(before: PartitionSample | None, after: PartitionSample) -> tuple[int, int]:
    """Records consumed and produced between two samples of a partition."""
    if before is None:
        return 0, 0
    moved = after.committed is not None and before.committed is not None
    went = after.committed - before.committed if moved else 0  # type: ignore[operator]  # both are there
    return went, after.end - before.end
