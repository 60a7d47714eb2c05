"""What a game day writes down: a table for the runbook, and a document with everything that was seen."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.gameday.day import Course, Healthy, Results
from tests.gameday.judging import DOORS, Answer, Judgement

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "runbook.md"
_BLOCK = re.compile(r"(<!-- game day -->\n).*?(<!-- end -->)", re.DOTALL)
_HEADING = (
    "| fault | what was done | to be seen after | `lag` | `/lag` | alerts | right |\n|---|---|---|---|---|---|---|\n"
)


def markdown(results: Results, about: str, no_alerts: str | None) -> str:
    """The table, what was said word for word, and the healthy load. `no_alerts`: why none were looked at."""
    rows = "".join(_row(course, no_alerts) for course in results.courses)
    said = "".join(_said(course) for course in results.courses)
    text = f"{about}\n\n{_HEADING}{rows}\nWhat was said, as soon as it was right:\n\n{said}"
    return text if results.healthy is None else f"{text}\n{_healthy(results.healthy, no_alerts)}"


def fill(page: str, text: str) -> str:
    """The page with the text in its place."""
    filled, times = _BLOCK.subn(lambda match: f"{match[1]}{text}{match[2]}", page)
    assert times == 1, "the page has no place for a game day"
    return filled


def document(results: Results) -> dict[str, Any]:
    """As JSON."""
    return {
        "ok": results.ok,
        "faults": {
            course.fault.name: {
                "title": course.fault.title,
                "done": course.fault.done,
                "seen": course.seen and asdict(course.seen),
                "judgement": course.judgement and asdict(course.judgement),
                "recovered_s": course.recovered_s,
                "failed": course.failed,
            }
            for course in results.courses
        },
        "healthy": results.healthy and asdict(results.healthy),
    }


def _row(course: Course, no_alerts: str | None) -> str:
    fault, found = course.fault, course.judgement
    if found is None or course.seen is None:
        return f"| {fault.title} | {_cell(fault.done)} | | | | | **not carried out**: {_cell(course.failed or '')} |\n"
    alerts = no_alerts or _alerts(found)
    seconds = [_seconds(found.answers[door]) for door in DOORS]
    verdict = "yes" if course.ok else f"**no**: {_cell('; '.join(found.wrong))}"
    visible = f"{course.seen.visible_s:.1f} s ({_cell(fault.since)})"
    return f"| {fault.title} | {_cell(fault.done)} | {visible} | {' | '.join(seconds)} | {alerts} | {verdict} |\n"


def _seconds(answer: Answer) -> str:
    return "never" if answer.right_s is None else f"{answer.right_s:.1f} s"


def _alerts(found: Judgement) -> str:
    named = {name: "did not fire" if at_s is None else f"{at_s:.0f} s" for name, at_s in found.fired.items()}
    beside = {name: f"{at_s:.0f} s" for name, at_s in found.beside.items()}
    return f"{_listed(named)}; beside them {_listed(beside)}" if beside else _listed(named)


def _listed(named: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {when}" for name, when in named.items())


def _said(course: Course) -> str:
    if course.judgement is None or course.seen is None:
        return ""
    said = [f"{look.status}: {look.reason}" for door in DOORS if (look := course.judgement.answers[door].said)]
    allowed = f"allowed until {course.judgement.allowed_s:.1f} s"
    over = "not well again" if course.recovered_s is None else f"well again {course.recovered_s:.0f} s later"
    lasted = f"mended after {course.seen.healed_s:.0f} s, {over}"
    return f"- *{course.fault.title}* ({allowed}; {lasted}): {_quoted(said[-1]) if said else 'nothing'}\n"


def _healthy(found: Healthy, no_alerts: str | None) -> str:
    minutes = f"{found.seconds / 60:.0f} minutes of healthy load"
    answers = f"{len(found.looks)} answers of `lag` and `/lag`"
    pending = ", ".join(sorted({alert.name for alert in found.pending or ()})) or "none"
    alerts = f"Alerts: {no_alerts}." if no_alerts else f"Alerts that were pending without firing: {pending}."
    if found.wrong:
        return f"**{minutes} were not silent**: {_cell('; '.join(found.wrong))}. {alerts}\n"
    silent = "" if no_alerts else ", and no alert fired"
    return f"{minutes}: all of {answers} said OK{silent}. {alerts}\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _quoted(text: str) -> str:
    """Word for word; its own backticks would end a quotation."""
    return f'"{_cell(text.replace("`", ""))}"'
