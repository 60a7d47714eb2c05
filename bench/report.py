"""The report as JSON, and as rows for people."""

from collections.abc import Sequence
from typing import Any

from bench.cases import Options, Result
from bench.machine import facts
from bench.rounds import Spread
from bench.run import Outcome

COLUMNS = (
    ("case", 8), ("what", 34), ("engine", 14), ("min", 7), ("median", 7), ("max", 7), ("unit", 12),
    ("goal", 7), ("", 6),
)  # fmt: skip


def cells(outcome: Outcome) -> tuple[str, ...]:
    """One row of the table, a cell for each of COLUMNS."""
    result = outcome.result
    if result is None:
        return (outcome.case, f"not measured: {outcome.skipped}", *[""] * (len(COLUMNS) - 2))
    spread = Spread.of(result.figures)
    figures = (figure(spread.least), figure(spread.median), figure(spread.most))
    goal = str(result.goal) if result.goal else ""
    return (outcome.case, result.name, result.engine, *figures, result.unit, goal, verdict(result))


def figure(number: float) -> str:
    """Three digits that count."""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"


def verdict(result: Result) -> str:
    if result.goal is None:
        return ""
    return "met" if result.goal.met(Spread.of(result.figures).median) else "MISSED"


def as_json(outcomes: Sequence[Outcome], options: Options, weights: str, *, complete: bool = True) -> dict[str, Any]:
    """Everything that was measured, with what is needed to read it. Not `complete`: somebody ended the run early."""
    return {
        "complete": complete,
        "machine": facts(),
        "options": {
            "repetitions": options.repetitions, "seconds": options.seconds, "minutes": options.minutes,
            "quick": options.quick, "seed": options.seed, "images": str(options.images or "generated"),
        },
        "weights": weights,
        "results": [_result(outcome.case, outcome.result) for outcome in outcomes if outcome.result],
        "others": [[outcome.case, outcome.others] for outcome in outcomes if outcome.others is not None],
        "skipped": [{"case": outcome.case, "reason": outcome.skipped} for outcome in outcomes if outcome.skipped],
    }  # fmt: skip


def _result(case: str, result: Result) -> dict[str, Any]:
    spread = Spread.of(result.figures)
    return {
        "case": case,
        "name": result.name,
        "engine": result.engine,
        "unit": result.unit,
        "min": spread.least,
        "median": spread.median,
        "max": spread.most,
        "figures": list(result.figures),
        "goal": str(result.goal) if result.goal else None,
        "met": result.goal.met(spread.median) if result.goal else None,
        "note": result.note,
        "raw": {name: list(figures) for name, figures in result.raw.items()},
    }
