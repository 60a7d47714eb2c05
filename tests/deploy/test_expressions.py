"""Every metric and label that a rule, a dashboard or the runbook asks for exists."""

import re
from itertools import chain

import pytest

from tests.deploy.exports import VALUES, Exports, declared
from tests.deploy.files import PROMETHEUS, other_expressions, panels, read, rule_expressions, rules
from tests.deploy.promql import Named, named


@pytest.fixture(scope="module")
def exports() -> Exports:
    return declared()


def given(exports: Exports) -> Exports:
    """What the processes export, with what Prometheus adds: its own labels and metrics, and those that rules record."""
    (job,) = read(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    of_targets = {"job", "instance", *(relabel["target_label"] for relabel in job["relabel_configs"])}
    scraped = {name: labels | of_targets for name, labels in exports.items()} | {"up": frozenset(of_targets)}
    recorded = {rule["record"]: frozenset({"pipeline"}) for rule in rules() if "record" in rule}
    of_alerts = frozenset({"alertname", "alertstate", "severity", "pipeline", "topic", "partition", "reason"})
    return {**scraped, **recorded, "ALERTS": of_alerts}


def lacking(one: Named, known: Exports) -> str | None:
    """What is wrong with it, if anything is."""
    if one.metric not in known:
        return f"no metric {one.metric}"
    if one.label is not None and one.label not in known[one.metric]:
        return f"{one.metric} has no label {one.label}"
    # '$pipeline' is the dashboard's variable, "p" stands for a rule's.
    if one.value is None or one.label in {None, "pipeline"}:
        return None
    assert one.label is not None
    if one.value not in VALUES.get((one.metric, one.label), ()):
        return f"{one.metric} is never {one.label}={one.value}"
    return None


def test_every_metric_and_label_that_is_asked_for_exists(exports: Exports) -> None:
    known = given(exports)
    asked = {
        (where, one)
        for where, expression in chain(rule_expressions(), other_expressions())
        for one in named(expression)
    }
    assert len({one.metric for _, one in asked}) > 30
    assert sorted({f"{where}: {wrong}" for where, one in asked if (wrong := lacking(one, known))}) == []


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
