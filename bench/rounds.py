"""Two sides in turns: their rates, and the ratio of each pair."""

import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Side = Callable[[int], Awaitable[float]]
"""Runs one round, whose number it gets, and returns its rate: more is better. Round 0 is the warm-up."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """The rates of A and of B, in the order of their rounds."""

    a: tuple[float, ...]
    b: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """A / B of each pair of rounds."""
        return tuple(a / b for a, b in zip(self.a, self.b, strict=True))

    def raw(self, a: str, b: str) -> dict[str, tuple[float, ...]]:
        """The rates under the names of the two sides."""
        return {a: self.a, b: self.b}


@dataclass(frozen=True, slots=True)
class Spread:
    """Least, middle and most of several figures."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, figures: tuple[float, ...]) -> "Spread":
        """Raises ValueError when there are none."""
        return cls(min(figures), statistics.median(figures), max(figures))


async def compare(a: Side, b: Side, repetitions: int, *, warm_up: bool = True) -> Ratio:
    """Run A B B A A B ...: what drifts during the run, heat or another guest of the machine, meets both alike."""
    if warm_up:
        await a(0)
        await b(0)
    rates: dict[Side, list[float]] = {a: [], b: []}
    for number in range(1, repetitions + 1):
        for side in (a, b) if number % 2 else (b, a):
            rates[side].append(await side(number))
    return Ratio(tuple(rates[a]), tuple(rates[b]))
