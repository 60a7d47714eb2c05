"""The last hour of a group, in memory: what a curve or a page shows."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from broker.samples import Place
from schemas.lag import LagReport, Status

_KEPT_S: Final = 3600.0
_MOST: Final = 720
_MOST_LAGS: Final = 60
"""A partition's own curve is short: there may be a thousand of them."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The group at one sample."""

    at: datetime
    status: Status
    lag: int
    time_lag_s: float | None
    consumed_per_s: float | None
    produced_per_s: float | None


class History:
    """At most an hour and `_MOST` samples; oldest first."""

    def __init__(self) -> None:
        self._moments: deque[Moment] = deque(maxlen=_MOST)
        self._lags: dict[Place, deque[int]] = {}

    @property
    def moments(self) -> Sequence[Moment]:
        return self._moments

    def lags(self, place: Place) -> Sequence[int]:
        """The last lags of one partition."""
        return self._lags.get(place, ())

    def add(self, report: LagReport) -> None:
        """The next report. Partitions that are gone lose their curve."""
        self._moments.append(
            Moment(
                report.at,
                report.status,
                report.lag,
                report.time_lag_s,
                report.consumed_per_s,
                report.produced_per_s,
            )
        )
        while (report.at - self._moments[0].at).total_seconds() > _KEPT_S:
            self._moments.popleft()
        kept = {}
        for found in report.partitions:
            place = Place(found.topic, found.partition)
            kept[place] = self._lags.get(place) or deque(maxlen=_MOST_LAGS)
            kept[place].append(found.lag)
        self._lags = kept
