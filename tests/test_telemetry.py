"""Our own kind of histogram is told apart from the library's by nobody who scrapes it."""

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from telemetry import SLOW_S, ManyAtOnce

VALUES = [0.0, 0.05, 0.0500001, 1, 7.5, 1e6]


def test_many_values_at_once_are_scraped_as_those_of_a_plain_histogram() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    many = ManyAtOnce("seconds", "Some", SLOW_S)
    ours.register(many)
    plain = Histogram("seconds", "Some", registry=theirs, buckets=SLOW_S)
    many.observe_all(VALUES[:4])
    many.observe_all(VALUES[4:])
    for value in VALUES:
        plain.observe(value)
    expected = [line for line in generate_latest(theirs).decode().splitlines() if "_created" not in line]
    assert generate_latest(ours).decode().splitlines() == expected
