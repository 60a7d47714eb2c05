"""`python -m bench.page REPORT.json...`: the figures of docs/performance.md, from what `bench --json` wrote.

A table stands between `<!-- bench CASE -->` and `<!-- end -->`; everything else of the page is written by people.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.report import figure

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
_BLOCK = re.compile(r"(<!-- bench ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_LEFT_OUT = re.compile(", p99 theirs / ours$")
"""Rows that the JSON has and the page does not: the times themselves stand there."""
_HEADING = "| | engine | min | median | max | | goal |\n|---|---|---|---|---|---|---|\n"

Report = Mapping[str, Any]


def fill(text: str, reports: Sequence[Report]) -> str:
    """The page with the tables of these reports; a table that none of them has stays as it is.

    Where several have the same row, the last one counts.
    """
    rows: dict[str, dict[tuple[str, str], str]] = {}
    for report in reports:
        for result in report["results"]:
            if _LEFT_OUT.search(result["name"]):
                continue
            rows.setdefault(result["case"], {})[result["name"], result["engine"]] = _row(result)
        for skipped in report["skipped"]:
            reason = " ".join(skipped["reason"].split())
            rows.setdefault(skipped["case"], {})[reason, ""] = f"| not measured: {reason} | | | | | | |\n"
    machines = {_machine(report): None for report in reports}
    rounds = {result["case"]: _rounds(report) for report in reports for result in report["results"]}

    def block(match: re.Match[str]) -> str:
        begin, name, end = match.groups()
        if name == "machine":
            told = "; ".join(f"{case} {how}" for case, how in rounds.items())
            return f"{begin}{''.join(machines)}\nRounds: {told}.\n{end}" if machines else match.group()
        return f"{begin}{_HEADING}{''.join(rows[name].values())}{end}" if name in rows else match.group()

    return _BLOCK.sub(block, text)


def _row(result: Mapping[str, Any]) -> str:
    least, median, most = (figure(result[name]) for name in ("min", "median", "max"))
    missed = " (missed)" if result["met"] is False else ""
    goal = f"{result['goal'] or ''}{missed}"
    what = f"{result['name']} ({result['note']})" if result["note"] else result["name"]
    return f"| {what} | {result['engine']} | {least} | **{median}** | {most} | {result['unit']} | {goal} |\n"


def _machine(report: Report) -> str:
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    gpu = machine["cuda"] or "no GPU"
    memory = f"{machine['memory_mb'] / 1024:.0f} GiB"
    return (
        f"{machine['processor']}, {machine['cores']} cores, {memory}, {gpu}; Python {machine['python']}, {versions}; "
        f"weights {report['weights']}, seed {report['options']['seed']}.\n"
    )


def _rounds(report: Report) -> str:
    options = report["options"]
    return f"{options['repetitions']} of about {options['seconds']:g} s"


def main(arguments: Sequence[str]) -> None:
    reports = [json.loads(Path(name).read_text(encoding="utf-8")) for name in arguments]
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), reports), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
