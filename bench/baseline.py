"""What got worse since a baseline was kept: ratios only, since rates say as much about the machine as about us."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.cases import Result
from bench.rounds import Spread
from errors import UsageError

BASELINE = Path(__file__).with_name("baseline.json")
SLACK = 0.02
"""A ratio must be worse than the worst that was kept by this much: runs on another day differ so without a reason."""

Kept = Mapping[str, Spread]
"""Spread of each ratio, by engine and name."""


def key(result: Result) -> str:
    return f"{result.engine}: {result.name}" if result.engine else result.name


def read(path: Path) -> Kept:
    """Raises UsageError where `path` is no baseline."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {name: Spread(*map(float, figures)) for name, figures in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"--against {path}: not a baseline of `streamscorer bench --keep` ({error})") from error


def keep(path: Path, results: Sequence[Result]) -> int:
    """Add the ratios to the file, in place of older ones of the same name; how many the file has now."""
    kept = dict(read(path)) if path.exists() else {}
    kept |= {key(result): Spread.of(result.figures) for result in _ratios(results)}
    figures = {
        name: [round(figure, 4) for figure in (spread.least, spread.median, spread.most)]
        for name, spread in sorted(kept.items())
    }
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(spread)}" for name, spread in figures.items())
    path.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    return len(kept)


def worse(results: Sequence[Result], kept: Kept) -> list[str]:
    """A sentence for each ratio whose best round is worse than the worst that was kept."""
    found = []
    for result in _ratios(results):
        was, now = kept.get(key(result)), Spread.of(result.figures)
        if was is None:
            continue
        less_is_better = result.goal is not None and result.goal.at_most is not None
        if now.least > was.most * (1 + SLACK) if less_is_better else now.most < was.least * (1 - SLACK):
            found.append(
                f"{key(result)}: {now.median:.3g} ({now.least:.3g} to {now.most:.3g}), "
                f"kept {was.median:.3g} ({was.least:.3g} to {was.most:.3g})"
            )
    return found


def _ratios(results: Sequence[Result]) -> Iterator[Result]:
    return (result for result in results if result.unit == "ratio")
