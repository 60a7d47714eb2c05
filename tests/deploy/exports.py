"""What there is to ask for: metrics with their labels, and which values some labels can have."""

import re
from collections.abc import Iterable, Mapping
from typing import get_args

from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from telemetry import Hop, Metrics, Outcome

Exports = dict[str, frozenset[str]]
"""The labels of each metric, by its name in a scrape."""
_SUFFIX = re.compile("_(total|bucket|sum|count|created)$")

STATUSES = frozenset({"OK", "WARN", "STALL", "STOP", "REWIND"})
PLACE = frozenset({"topic", "partition"})
LAG: Exports = {
    "scorer_consumer_lag_records": PLACE,
    "scorer_consumer_lag_seconds": PLACE,
    "scorer_consumer_lag_status": PLACE | {"status"},
    "scorer_consumer_lag_eta_seconds": frozenset(),
    "scorer_lag_sample_timestamp_seconds": frozenset(),
    "scorer_lag_sample_failures_total": frozenset(),
}
VALUES: Mapping[tuple[str, str], frozenset[str]] = {
    ("scorer_consumer_lag_status", "status"): STATUSES,
    ("scorer_records_total", "outcome"): frozenset(get_args(Outcome)),
    ("scorer_batch_seconds", "hop"): frozenset(get_args(Hop)),
    ("scorer_queue_seconds_bucket", "priority"): frozenset({"interactive", "stream"}),
    ("scorer_skipped_records_total", "reason"): frozenset({"trimmed"}),
    ("scorer_paused", "reason"): frozenset({"store", "broker", "source", "operator", "dead_letters"}),
    ("ALERTS", "alertstate"): frozenset({"pending", "firing"}),
}
"""What a label that an expression compares with a word can be."""


def declared() -> Exports:
    """All that a process with every role exports, once each of it has happened."""
    metrics = Metrics()
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase) and metric._labelnames:
            metric.labels(*("something" for _ in metric._labelnames))
    return {**exported(metrics.registry.collect()), **LAG}


def scraped(text: str) -> Exports:
    """What stands in the answer of /metrics, in text format; with what has a name there and no value yet."""
    families = list(text_string_to_metric_families(text))
    quiet = {family.name for family in families if not family.samples}
    return {name: labels for name, labels in declared().items() if _SUFFIX.sub("", name) in quiet} | exported(families)


def exported(families: Iterable[Metric]) -> Exports:
    """The labels of each metric that has a value."""
    found: dict[str, frozenset[str]] = {}
    for family in families:
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, frozenset()) | set(sample.labels)
    return found
