"""The last commits of a partition, as Burrow keeps them, and since when its committed offset stands still."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from broker.samples import PartitionSample
from monitor.told import Told

WINDOW: Final = 10
"""Commits that are looked at."""
APART_S: Final = 4.5
"""At most one entry in so long: five seconds, less the jitter of who commits every five seconds."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as it was when it was seen. `at`: when it was made, where that is told, else when it was first seen."""

    at: float
    offset: int
    lag: int


@dataclass(frozen=True, slots=True)
class Trimmed:
    """Records that were deleted before they were consumed."""

    at: float
    lost: int
    exact: bool


class Window:
    """What was seen of one partition, a sample after the other."""

    def __init__(self) -> None:
        self._commits: deque[Commit] = deque(maxlen=WINDOW)
        self._sample: PartitionSample | None = None
        self._sampled = 0.0
        self.told: Told | None = None
        """What the consumer said with the last commit."""
        self.held: Told | None = None
        """What it said when it last waited with this partition alone."""
        self.last_commit: float | None = None
        """When it was made; None: no commit of a foreign group was seen yet."""
        self.moved: float | None = None
        """When the committed offset was last seen to change."""
        self.behind_since: float | None = None
        """Since when records wait behind the committed offset as it stands; None while none does."""
        self.trimmed: Trimmed | None = None
        """What was last seen to be lost."""

    @property
    def commits(self) -> Sequence[Commit]:
        """Oldest first."""
        return self._commits

    def add(self, sample: PartitionSample, now: float) -> None:
        """The next sample, taken at `now`."""
        before, self._sample = self._sample, sample
        if sample.committed is None:
            self.told = None
        elif before is None or (before.committed, before.metadata) != (sample.committed, sample.metadata):
            self._commit(sample, sample.committed, before, now)
        elif self._commits:
            # The end may move on below a commit that stays: its lag is that of now.
            last = self._commits[-1]
            self._commits[-1] = Commit(last.at, last.offset, sample.lag)
        if before is not None and before.committed != sample.committed:
            self.moved, self.behind_since = now, None
        if not sample.lag:
            self.behind_since = None
        elif self.behind_since is None:
            self.behind_since = now
        self._look_for_loss(sample, before, now)
        self._sampled = now

    def _look_for_loss(self, sample: PartitionSample, before: PartitionSample | None, now: float) -> None:
        if sample.committed is None:
            return
        if sample.committed < sample.beginning:
            # Who has the partition may hold some of them in memory, and score them yet.
            self.trimmed = Trimmed(now, sample.beginning - sample.committed, exact=sample.owner is None)
        elif before is not None and before.committed is not None and self.told is not None:
            # It has gone on already, over more records than it can have consumed since the sample before.
            gap = sample.beginning - before.committed
            able = 2 * (self.told.rate or 0.0) * (now - self._sampled)
            if gap > able:
                self.trimmed = Trimmed(now, gap, exact=False)

    def _commit(self, sample: PartitionSample, offset: int, before: PartitionSample | None, now: float) -> None:
        self.told = Told.read(sample.metadata)
        if self.told is not None:
            self.held = self.told if self.told.state == "held" else self.held
            # Its clock may differ from ours: what we saw arrive came after the sample before, and is not from later.
            self.last_commit = min(now, max(self.told.at, self._sampled))
        else:
            self.last_commit = now if before is not None else None
        commit = Commit(now if self.last_commit is None else self.last_commit, offset, sample.lag)
        if len(self._commits) > 1 and commit.at - self._commits[-2].at < APART_S:
            self._commits[-1] = commit
        else:
            self._commits.append(commit)
