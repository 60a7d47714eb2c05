"""Every metric and label that a rule, a dashboard or the runbook asks for exists."""

import re

import pytest
from prometheus_client import generate_latest

from telemetry import Metrics
from tests.deploy.exports import LAG, Exports, declared, scraped
from tests.deploy.expressions import given, lacking, missing
from tests.deploy.files import panels
from tests.deploy.promql import Named, named


@pytest.fixture(scope="module")
def exports() -> Exports:
    return declared()


def test_every_metric_and_label_that_is_asked_for_exists(exports: Exports) -> None:
    assert missing(exports) == []


def test_a_metric_that_a_scrape_lacks_is_missed() -> None:
    """tests/system/test_up.py holds the expressions against a process that really runs."""
    text = generate_latest(Metrics().registry).decode()
    assert missing(scraped(text) | LAG) == []
    without = "\n".join(line for line in text.splitlines() if "scorer_refused" not in line) + "\n"
    assert {line.partition(": no metric ")[2] for line in missing(scraped(without) | LAG)} == {"scorer_refused_total"}


def test_a_legend_shows_labels_that_its_curve_has() -> None:
    for where, panel in panels():
        for target in panel["targets"]:
            shown = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
            assert shown <= {one.label for one in named(target["expr"])}, where


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("scorer_consumer_lag > 1", "no metric scorer_consumer_lag"),
        ("rate(scorer_records[5m])", "no metric scorer_records"),
        ("sum by (reason) (scorer_records_total)", "scorer_records_total has no label reason"),
        ("scorer_paused{state='store'}", "scorer_paused has no label state"),
        ("sum(scorer_paused{reason='postgres', pipeline='$pipeline'})", "scorer_paused is never reason=postgres"),
        ("up unless on (topic) scorer_queue_depth", "up has no label topic"),
        ("1 - avg_over_time((max by (role) (scorer:lag_objective_missed))[1d:5m] offset 1h) == bool 0",
         "scorer:lag_objective_missed has no label role"),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_found(exports: Exports, expression: str, wrong: str) -> None:
    known = given(exports)
    assert {why for one in named(expression) if (why := lacking(one, known))} == {wrong}


def test_names_are_read_past_everything_else_in_an_expression() -> None:
    expression = """
        histogram_quantile(0.9, sum by (le, hop) (rate(a_bucket{x="q\\"} b", y!~'c|d'}[5m:1m] offset 1h)))
          / on (hop) group_left max without (z) (e1:f) > bool 1.5e3 unless time() - 60
    """
    assert named(expression) == {
        Named("a_bucket"), Named("a_bucket", "x", 'q\\"} b'), Named("a_bucket", "y"), Named("a_bucket", "le"),
        Named("a_bucket", "hop"), Named("e1:f"),
    }  # fmt: skip
