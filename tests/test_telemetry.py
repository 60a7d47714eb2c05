"""Our own kind of histogram is told apart from the library's by nobody who scrapes it."""

import re

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.exposition import choose_encoder

from telemetry import SLOW_S, BatchHistogram, Metrics

VALUES = [0.0, 0.05, 0.0500001, 1, 7.5, 1e6]


def test_many_values_at_once_are_scraped_as_those_of_a_plain_histogram() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    many = BatchHistogram("seconds", "Some", registry=ours, buckets=SLOW_S)
    plain = Histogram("seconds", "Some", registry=theirs, buckets=SLOW_S)
    many.observe_all(VALUES[:4])
    many.observe_all(VALUES[4:])
    for value in VALUES:
        plain.observe(value)

    def scraped(registry: CollectorRegistry) -> list[str]:
        return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]

    assert scraped(ours) == scraped(theirs)


def test_what_an_alert_counts_is_there_before_it_happens() -> None:
    registry = Metrics().registry
    for name, labels in (
        ("scorer_records_total", {"outcome": "dead_lettered"}),
        ("scorer_dead_letters_total", {"reason": "SourceUnavailable"}),
        ("scorer_skipped_records_total", {"reason": "trimmed"}),
    ):
        assert registry.get_sample_value(name, labels) == 0


def test_exemplars_stand_at_their_buckets_as_in_a_plain_histogram_and_only_in_openmetrics() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    many = BatchHistogram("seconds", "Some", registry=ours, buckets=SLOW_S)
    plain = Histogram("seconds", "Some", registry=theirs, buckets=SLOW_S)
    traced = [(value, f"{number:032x}") for number, value in enumerate(VALUES)]
    many.observe_all(VALUES, traced)
    for value, trace_id in traced:
        plain.observe(value, {"trace_id": trace_id})

    def told(registry: CollectorRegistry) -> list[str]:
        encode, _ = choose_encoder("application/openmetrics-text")
        lines = encode(registry).decode().splitlines()
        return [re.sub(r" [\d.e+]+$", "", line) for line in lines if " # {" in line]  # without the time

    assert told(ours) == told(theirs)
    assert len(told(ours)) == 5
    assert "trace_id" not in generate_latest(ours).decode()
