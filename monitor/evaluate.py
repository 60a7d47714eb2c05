"""The status of a partition: Burrow's rules in Burrow's order, made sharper by what our consumers tell."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from monitor.told import Told
from monitor.window import WINDOW, Commit
from schemas.lag import Status

_YOUNG: Final = 4
"""With fewer commits than this, lag that did not decrease says nothing."""
_BLIP_S: Final = 2.0
"""A wait as short as this is not worth a word."""
_HELD_S: Final = 5.0
_AT_ONCE: Final = 64
"""Records that our consumers decide at once, at least, where there are so many."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the rules look at. Times in seconds since 1970."""

    now: float
    silence_s: float
    """Who has not committed for so long is gone: session timeout and heartbeat interval."""
    lag: int
    commits: Sequence[Commit]
    """Oldest first, at most WINDOW."""
    told: Told | None
    alive: bool | None
    """A member has the partition; None where Kafka does not tell, or while the group is joining."""
    empty: bool
    """The group has no member at all."""
    last_commit: float | None
    moved: float | None
    behind_since: float | None
    taken: float | None
    """When its present owner was seen to take it; None: it had it when we began to look, or nobody has it."""
    time_lag_s: float | None
    keeps_up: bool | None
    """The group consumes at least what is published; None: nobody knows yet."""

    @property
    def fresh(self) -> bool:
        """There was a commit just now."""
        return self.last_commit is not None and self.now - self.last_commit <= self.silence_s

    @property
    def late(self) -> bool:
        """The oldest record waits longer than the work on it may take."""
        return self.lag > 0 and (self.time_lag_s is None or self.time_lag_s > self.silence_s)

    @property
    def still_s(self) -> float:
        """For how long records have waited behind an offset that stood still."""
        return self.now - self.behind_since if self.behind_since is not None else 0.0


def evaluate(evidence: Evidence) -> Status:
    """The first rule that holds decides. Without lag all is well."""
    if evidence.lag <= 0:
        return "OK"
    if gone(evidence):
        return "STOP"
    if _fell(evidence.commits):
        return "REWIND"
    if _says_that_it_is_stuck(evidence):
        return "STALL"
    # Burrow would call it OK for as long as one commit in the window had no lag. Who stands still below a moving end
    # for longer than a commit may take is never OK, nor is who is late and falls back from commit to commit.
    stands = evidence.still_s > evidence.silence_s
    if not stands and not _grows(evidence) and any(commit.lag <= 0 for commit in evidence.commits):
        return "OK"
    if stands and _nothing_moves(evidence):
        return "STALL"
    return "WARN" if stands or _grows(evidence) or _falls_behind(evidence) else "OK"


def gone(evidence: Evidence) -> bool:
    """Nobody consumes the partition any more."""
    if evidence.alive:
        return False
    if evidence.alive is False:
        left = evidence.empty and evidence.told is not None and not evidence.told.open
        return left or not evidence.fresh
    if evidence.last_commit is None or evidence.fresh:
        return False
    # Of a group that is not ours we do not know how often it commits.
    return evidence.told is not None or evidence.now - evidence.last_commit > _span_s(evidence.commits)


def _span_s(commits: Sequence[Commit]) -> float:
    return commits[-1].at - commits[0].at if commits else 0.0


def _fell(commits: Sequence[Commit]) -> bool:
    """An offset fell, and the latest one has not regained it."""
    return bool(commits) and commits[-1].offset < max(commit.offset for commit in commits)


def _says_that_it_is_stuck(evidence: Evidence) -> bool:
    told = evidence.told
    if told is None or not told.stuck:
        return False
    if evidence.still_s >= _HELD_S:
        return True
    if told.since is not None:
        # What goes on has something decided, and commits at once: until then it is as it was told.
        return evidence.now - told.since >= _BLIP_S
    # Slow sources hold a partition again and again, and it moves in between.
    return evidence.moved is None


def _nothing_moves(evidence: Evidence) -> bool:
    if evidence.taken is not None and evidence.now - evidence.taken <= evidence.silence_s:
        return False  # who has just begun has not had the time
    told, commits = evidence.told, evidence.commits
    if told is None:
        return evidence.last_commit is None or evidence.now - evidence.last_commit > _span_s(commits)
    # A slow engine works long on one batch, and its rate tells it: until a whole window went by without a move, and
    # twice the time that a batch takes.
    unmoved = len(commits) == WINDOW and len({commit.offset for commit in commits}) == 1
    return not told.rate or (unmoved and evidence.still_s > 2 * _AT_ONCE / told.rate)


def _grows(evidence: Evidence) -> bool:
    lags = [commit.lag for commit in evidence.commits]
    if not evidence.late or len(lags) < _YOUNG:
        return False
    # Who works in batches over several partitions lets the lag of each dip in between: then the rates tell.
    over_all = lags[0] < lags[-1] and evidence.keeps_up is False
    return over_all or all(before < after for before, after in pairwise(lags[-_YOUNG:]))


def _falls_behind(evidence: Evidence) -> bool:
    """Lag that never decreased; Burrow says so also of lag that is a moment old."""
    if not evidence.late:
        return False
    lags = [commit.lag for commit in evidence.commits]
    if len(lags) < _YOUNG:
        return evidence.keeps_up is not True
    return not any(after < before for before, after in pairwise(lags))
