"""What all our expressions ask for, held against what there is."""

from itertools import chain

from tests.deploy.exports import VALUES, Exports
from tests.deploy.files import PROMETHEUS, other_expressions, read, rule_expressions, rules
from tests.deploy.promql import Named, named


def missing(exports: Exports) -> list[str]:
    """Where an expression asks for a metric, a label or a label's value that is not there."""
    known = given(exports)
    asked = {
        (where, one)
        for where, expression in chain(rule_expressions(), other_expressions())
        for one in named(expression)
    }
    assert len({one.metric for _, one in asked}) > 30, "hardly any expressions were found"
    return sorted({f"{where}: {wrong}" for where, one in asked if (wrong := lacking(one, known))})


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
