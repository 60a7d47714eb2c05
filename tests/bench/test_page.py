"""The page's figures come from reports."""

from typing import Any

from bench.cases import Options, Result
from bench.catalogue import MODULES
from bench.page import PAGE, fill
from bench.report import as_json
from bench.run import Outcome

TEXT = "before\n<!-- bench stream -->\nold\n<!-- end -->\nbetween\n<!-- bench mixed -->\nkept\n<!-- end -->\nafter\n"


def report(*figures: float) -> dict[str, Any]:
    return as_json([Outcome("stream", Result("a / b", "torch fp32", "ratio", figures))], Options(), "untrained")


def test_a_table_replaces_the_one_before_and_nothing_else_changes() -> None:
    filled = fill(TEXT, [report(0.9, 0.95, 1.0)])
    assert "| a / b | torch fp32 | 0.9 | **0.95** | 1 | ratio |  |" in filled
    assert "old" not in filled
    assert filled.split("<!-- bench mixed")[1] == TEXT.split("<!-- bench mixed")[1]
    assert fill(filled, [report(0.9, 0.95, 1.0)]) == filled


def test_the_last_report_counts() -> None:
    filled = fill(TEXT, [report(0.1), report(0.2)])
    assert "**0.2**" in filled
    assert "**0.1**" not in filled


def test_what_was_skipped_says_why() -> None:
    skipped = as_json([Outcome("stream", skipped="no\ndevice")], Options(), "untrained")
    assert "| not measured: no device |" in fill(TEXT, [skipped])


def test_the_page_has_a_place_for_every_case() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"<!-- bench {name} -->\n" in page for name in MODULES)
