"""How many records a second are published and consumed, from what grew between samples."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

SHORT_S: Final = 10.0
"""What was watched for less than this says less than the consumers' own rates."""
LATELY_S: Final = 30.0
KEPT_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Point:
    """Where a flow stood. `consumed` and `produced` count from the first sample on and never fall."""

    at: float
    consumed: int
    produced: int
    lag: int


@dataclass(frozen=True, slots=True)
class Rates:
    """Records a second."""

    consumed: float
    produced: float


class Flow:
    """The points of a group, or of a partition, for at most `kept_s` and `points`."""

    def __init__(self, *, kept_s: float = KEPT_S, points: int = 720) -> None:
        self._kept_s = kept_s
        self._points: deque[Point] = deque(maxlen=points)

    @property
    def points(self) -> Sequence[Point]:
        """Oldest first."""
        return self._points

    def add(self, at: float, *, consumed: int, produced: int, lag: int) -> None:
        """What was consumed and produced since the last sample, and the lag now."""
        last = self._points[-1] if self._points else Point(at, 0, 0, lag)
        if at < last.at:
            return  # the clock was set back: nothing can be said of that time
        self._points.append(Point(at, last.consumed + max(0, consumed), last.produced + max(0, produced), lag))
        while self._points[0].at < at - self._kept_s:
            self._points.popleft()

    @property
    def watched_s(self) -> float:
        """From the first point to the last one."""
        return self._points[-1].at - self._points[0].at if self._points else 0.0

    def known(self) -> Rates | None:
        """Those lately; None as long as it was watched only for a moment."""
        return self.lately() if self.watched_s >= SHORT_S else None

    def lately(self, over_s: float = LATELY_S) -> Rates | None:
        """Over the last `over_s`, or as long as was watched; None after a single sample."""
        if not self._points:
            return None
        last = self._points[-1]
        return between(next(point for point in self._points if point.at >= last.at - over_s), last)


def between(first: Point, last: Point) -> Rates | None:
    """Mean rates from one point to another; None where no time lies between them."""
    took_s = last.at - first.at
    if took_s <= 0:
        return None
    return Rates((last.consumed - first.consumed) / took_s, (last.produced - first.produced) / took_s)


def keeps_up(rates: Rates | None, watched_s: float) -> bool | None:
    """Whether what is published is consumed as fast, or faster; None: nobody can tell. `watched_s`: for how long."""
    if rates is None:
        return None
    if not 0 < rates.consumed >= rates.produced:
        return False
    if watched_s >= SHORT_S:
        return True
    # In a moment few records may arrive by chance: as many as may well arrive another time must be kept up with.
    came = rates.produced * watched_s
    return True if rates.consumed * watched_s >= came + 2 * sqrt(came) + 2 else None
