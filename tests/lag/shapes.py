"""Drains of a backlog whose rates change: how fast is consumed and published at each moment."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

Pace = Callable[[float], float]
"""Records a second at so many seconds after the beginning."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One drain."""

    name: str
    backlog: int
    """Records."""
    consumes: Pace
    publishes: Pace = lambda _: 0.0

    def shortened(self, factor: float) -> "Shape":
        """The same in less time: what takes a minute takes `factor` minutes."""
        return replace(
            self,
            backlog=int(self.backlog * factor),
            consumes=lambda t: self.consumes(t / factor),
            publishes=lambda t: self.publishes(t / factor),
        )


def shapes() -> list[Shape]:
    """Each takes 45 to 90 seconds."""
    return [
        Shape("steady", 2400, _steady(40)),
        Shape("slowing down", 2400, lambda t: max(15.0, 60 - 0.5 * t)),
        Shape("speeding up", 2600, lambda t: min(70.0, 25 + 0.5 * t)),
        Shape("records still arrive", 1800, _steady(50), _steady(20)),
        Shape("arrivals in bursts", 1800, _steady(50), _spells(20, 5, 60, 5)),
        Shape("arrivals fade", 1500, _steady(50), lambda t: max(0.0, 35 - 0.5 * t)),
        Shape("pauses", 2200, _spells(15, 4, 0, 50)),
        Shape("a slow spell", 2400, lambda t: 20.0 if 15 <= t < 30 else 50.0),
        Shape("up and down", 2400, lambda t: 40 + 20 * math.sin(t / 4)),
    ]


def _steady(rate: float) -> Pace:
    return lambda _: float(rate)


def _spells(every_s: float, lasts_s: float, within: float, else_: float) -> Pace:
    """A spell at the end of each stretch."""
    return lambda t: float(within if t % every_s >= every_s - lasts_s else else_)
