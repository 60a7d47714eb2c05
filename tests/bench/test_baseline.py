"""The regression check."""

from pathlib import Path

import pytest

from bench.baseline import keep, read, worse
from bench.cases import Goal, Result, Unit
from errors import UsageError


def result(*figures: float, name: str = "a / b", unit: Unit = "ratio", goal: Goal | None = None) -> Result:
    return Result(name, "torch fp32", unit, figures, goal)


@pytest.mark.parametrize(
    ("figures", "named"),
    [
        ((0.9, 0.95, 1.0), False),
        ((0.5, 0.6, 0.91), False),  # its best round is what some kept round was
        ((0.5, 0.6, 0.7), True),
        ((1.5, 1.6, 1.7), False),
    ],
)
def test_a_ratio_below_all_that_was_kept_is_named(tmp_path: Path, figures: tuple[float, ...], named: bool) -> None:
    keep(tmp_path / "baseline.json", [result(0.9, 0.95, 1.0)])
    assert bool(worse([result(*figures)], read(tmp_path / "baseline.json"))) is named


def test_where_less_is_better_more_is_named(tmp_path: Path) -> None:
    goal = Goal(at_most=1.05)
    keep(tmp_path / "baseline.json", [result(1.0, 1.01, goal=goal)])
    kept = read(tmp_path / "baseline.json")
    assert worse([result(0.5, goal=goal)], kept) == []
    assert "torch fp32: a / b" in worse([result(1.2, goal=goal)], kept)[0]


def test_a_baseline_keeps_ratios_only_and_those_of_other_engines_stay(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    keep(path, [Result("a / b", "openvino bf16", "ratio", (0.5,))])
    assert keep(path, [result(0.9), result(100.0, name="rate", unit="images/s")]) == 2
    assert set(read(path)) == {"openvino bf16: a / b", "torch fp32: a / b"}


def test_what_is_new_is_no_regression(tmp_path: Path) -> None:
    keep(tmp_path / "baseline.json", [result(0.9)])
    assert worse([result(0.1, name="new / b")], read(tmp_path / "baseline.json")) == []


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": [1, 2]}'])
def test_a_file_that_is_no_baseline_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"other\.json"):
        read(path)
