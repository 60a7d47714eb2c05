"""docs/hazards.md names tests: each one exists."""

import re

from tests.system.processes import ROOT

HAZARDS = 25
_ROW = re.compile(r"^\| (\d+) \|.*\| ([^|]+) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_hazard_is_shown_by_a_test_that_exists_or_says_why_there_is_none() -> None:
    rows = _ROW.findall((ROOT / "docs" / "hazards.md").read_text(encoding="utf-8"))
    assert [int(number) for number, _ in rows] == list(range(1, HAZARDS + 1))
    for number, shown_by in rows:
        named = _TEST.findall(shown_by)
        assert named or shown_by.startswith("no test: "), f"hazard {number} is shown by nothing"
        for path, name in named:
            text = (ROOT / path).read_text(encoding="utf-8")
            assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"hazard {number}: no {path}::{name}"
