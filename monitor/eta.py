"""When the lag will be gone: lag / (consumed - produced), with an interval that says how sure that is.

Rates change, so the mean of the future is guessed from a past of the same length: as far as the answer looks ahead,
so far it looks back, but not behind the moment of the greatest lag, before which the group was not catching up.
The interval comes from how much the net rate differed from one stretch of that past to the next; it is meant to hold
in about four of five cases.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from monitor.rates import Point, Rates, between

_LEAST_S: Final = 30.0
_STRETCH_S: Final = 20.0
_STEPS: Final = 20
_WIDTH: Final = 1.6
"""Standard deviations on either side: four of five cases."""
_FACTOR: Final = 2.0
"""Half or twice as long, where there is too little of the past to say more."""


@dataclass(frozen=True, slots=True)
class Eta:
    """Seconds; `high` None: at the slow end of what may be, never."""

    s: float
    low: float
    high: float | None


def eta(points: Sequence[Point]) -> Eta | None:
    """From the points of a flow; None when the lag does not shrink, or nobody can say yet."""
    if not points or points[-1].lag <= 0:
        return Eta(0.0, 0.0, 0.0) if points else None
    past = _since_greatest_lag(points)
    back_s = _LEAST_S
    seconds: float | None = None
    for _ in range(_STEPS):
        seconds = _estimate(_last(past, back_s))
        # While it does not shrink over this stretch, a longer one may tell more.
        ahead_s = back_s * 2 if seconds is None else max(_LEAST_S, seconds)
        if abs(ahead_s - back_s) < 1:
            break
        back_s = ahead_s if seconds is None else (back_s + ahead_s) / 2
    if seconds is None:
        return None
    return Eta(seconds, *_interval(_last(past, back_s), seconds))


def eta_from_rates(lag: int, rates: Rates) -> Eta | None:
    """The same from two rates alone, as somebody told them: half or twice as long."""
    if lag <= 0:
        return Eta(0.0, 0.0, 0.0)
    if rates.consumed <= rates.produced:
        return None
    seconds = lag / (rates.consumed - rates.produced)
    return Eta(seconds, seconds / _FACTOR, seconds * _FACTOR)


def _since_greatest_lag(points: Sequence[Point]) -> list[Point]:
    known = list(points)
    greatest = max(range(len(known)), key=lambda index: (known[index].lag, index))
    return known[greatest:]


def _last(past: list[Point], back_s: float) -> list[Point]:
    return [point for point in past if point.at >= past[-1].at - back_s]


def _estimate(past: list[Point]) -> float | None:
    net = _net(past[0], past[-1])
    return past[-1].lag / net if net is not None and net > 0 else None


def _net(first: Point, last: Point) -> float | None:
    rates = between(first, last)
    return rates.consumed - rates.produced if rates is not None else None


def _interval(past: list[Point], seconds: float) -> tuple[float, float | None]:
    stretch_s = min(_STRETCH_S, (past[-1].at - past[0].at) / 3)
    nets, last = [], past[-1]
    for point in reversed(past[:-1]):
        if last.at - point.at >= stretch_s and (net := _net(point, last)) is not None:
            nets.append(net)
            last = point
    if len(nets) < 2:
        return seconds / _FACTOR, seconds * _FACTOR
    lag, mean = past[-1].lag, past[-1].lag / seconds
    # The past's mean is uncertain, and so is the future's; of a few stretches the spread itself is.
    spread = statistics.stdev(nets) * (1 + 1.5 / len(nets))
    off = _WIDTH * spread * math.sqrt(1 / len(nets) + min(1.0, stretch_s / seconds))
    return lag / (mean + off), lag / (mean - off) if mean > off else None
