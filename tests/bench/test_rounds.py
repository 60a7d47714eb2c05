"""Two sides in turns."""

import pytest

from bench.cases import Goal, Result
from bench.report import cells
from bench.rounds import Spread, compare
from bench.run import Outcome


async def test_sides_take_turns_so_that_a_drift_meets_both() -> None:
    order: list[str] = []

    async def a(number: int) -> float:
        order.append(f"a{number}")
        return 2.0

    async def b(number: int) -> float:
        order.append(f"b{number}")
        return 4.0

    ratio = await compare(a, b, 3)
    assert order == ["a0", "b0", "a1", "b1", "b2", "a2", "a3", "b3"]
    assert ratio.ratios == (0.5, 0.5, 0.5)


async def test_the_warm_up_is_not_counted() -> None:
    async def slow_at_first(number: int) -> float:
        return 1.0 if number == 0 else 10.0 * number

    async def steady(_: int) -> float:
        return 10.0

    ratio = await compare(slow_at_first, steady, 2)
    assert ratio.raw("ours", "theirs") == {"ours": (10.0, 20.0), "theirs": (10.0, 10.0)}
    assert Spread.of(ratio.ratios) == Spread(1.0, 1.5, 2.0)


@pytest.mark.parametrize(
    ("goal", "figures", "verdict"),
    [
        (Goal(at_least=0.9), (0.5, 0.9, 1.0), "met"),
        (Goal(at_least=0.9), (0.5, 0.89, 1.0), "MISSED"),
        (Goal(at_most=250), (10.0, 251.0, 300.0), "MISSED"),
        (None, (1.0,), ""),
    ],
)
def test_the_median_meets_the_goal_or_not(goal: Goal | None, figures: tuple[float, ...], verdict: str) -> None:
    row = cells(Outcome("case", Result("a / b", "torch fp32", "ratio", figures, goal)))
    assert row[-1] == verdict


def test_what_was_not_measured_says_why() -> None:
    assert "no such device" in " ".join(cells(Outcome("case", skipped="no such device")))
