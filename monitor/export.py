"""The latest report as metrics: under our names, and under those that the common dashboards for lag read.

The second and third set follow kafka-lag-exporter (its labels `cluster_name`, `group`, ...) and kafka_exporter, which
Strimzi ships (`consumergroup`). They are built at each scrape from the report alone: a partition that is gone has no
series, and while nothing is known there is none at all.
"""

from collections.abc import Callable, Iterable
from math import inf, nan

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from broker.election import Election
from errors import ScorerError
from monitor.watcher import Watcher
from schemas.lag import SEVERITIES, LagReport
from settings import MonitorSettings


def election_of(settings: MonitorSettings, watcher: Watcher) -> Election:
    """Between all processes that could export the group's lag, by the consumer group's name with .monitor behind it."""
    return Election(settings, f"{settings.kafka_group_id}.monitor", watcher.seeing)


class LagCollector(Collector):
    """To be registered with the process's metrics. `exports` says whether this process is the one that exports.

    When the lag was last known is told by that one, and by all that cannot see: so it grows old where nobody exports.
    """

    def __init__(self, watcher: Watcher, exports: Callable[[], bool] = lambda: True) -> None:
        self._watcher = watcher
        self._exports = exports

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is depends on the group."""
        return ()

    def collect(self) -> Iterable[Metric]:
        exports = self._exports()
        yield from _sampling(self._watcher, told=exports or not self._watcher.seeing.is_set())
        if not exports:
            return
        try:
            report = self._watcher.report()
        except ScorerError:
            return
        yield from _ours(report)
        yield from _lag_exporter(report)
        yield from _kafka_exporter(report)


def _sampling(watcher: Watcher, *, told: bool) -> Iterable[Metric]:
    failures = CounterMetricFamily("scorer_lag_sample_failures", "Looks at the group that failed")
    failures.add_metric((), watcher.failures)
    yield failures
    if told and watcher.latest is not None:
        when = _gauge("scorer_lag_sample_timestamp_seconds", "When the group's lag was last known")
        when.add_metric((), watcher.latest.at.timestamp())
        yield when


def _ours(report: LagReport) -> Iterable[Metric]:
    place = ("topic", "partition")
    lag = _gauge("scorer_consumer_lag_records", "Records behind the committed offset", *place)
    age = _gauge("scorer_consumer_lag_seconds", "Age of the oldest record behind the committed offset", *place)
    status = _gauge("scorer_consumer_lag_status", "1 for the status that the partition has", *place, "status")
    for found in report.partitions:
        labels = (found.topic, str(found.partition))
        lag.add_metric(labels, found.lag)
        if found.time_lag_s is not None:
            age.add_metric(labels, found.time_lag_s)
        for each in SEVERITIES:
            status.add_metric((*labels, each), float(each == found.status))
    left = _gauge("scorer_consumer_lag_eta_seconds", "Until the group has caught up; +Inf: not at these rates")
    left.add_metric((), inf if report.eta_s is None else report.eta_s)
    yield from (lag, age, status, left)


def _lag_exporter(report: LagReport) -> Iterable[Metric]:
    cluster, group = report.cluster_id, report.group_id
    of_group, of_log = ("cluster_name", "group"), ("cluster_name", "topic", "partition")
    of_member = (*of_group, "topic", "partition", "member_host", "consumer_id", "client_id")
    offset = _gauge("kafka_consumergroup_group_offset", "Committed offset", *of_member)
    lag = _gauge("kafka_consumergroup_group_lag", "Records behind the committed offset", *of_member)
    age = _gauge("kafka_consumergroup_group_lag_seconds", "Age of the oldest of them", *of_member)
    latest = _gauge("kafka_partition_latest_offset", "End of the log", *of_log)
    earliest = _gauge("kafka_partition_earliest_offset", "Beginning of the log", *of_log)
    for found in report.partitions:
        consumer, _, host = (found.owner or "").partition("@")
        where = (found.topic, str(found.partition))
        labels = (cluster, group, *where, host, consumer, consumer.rpartition("-")[0])
        if found.committed_offset is not None:
            offset.add_metric(labels, found.committed_offset)
        lag.add_metric(labels, found.lag)
        age.add_metric(labels, nan if found.time_lag_s is None else found.time_lag_s)
        latest.add_metric((cluster, *where), found.end_offset)
        earliest.add_metric((cluster, *where), found.beginning_offset)
    yield from (offset, lag, age, latest, earliest)
    most = max((found.lag for found in report.partitions), default=0)
    for name, value in (
        ("max_lag", float(most)),
        ("max_lag_seconds", nan if report.time_lag_s is None else report.time_lag_s),
        ("sum_lag", float(report.lag)),
    ):
        gauge = _gauge(f"kafka_consumergroup_group_{name}", "Of all partitions of the group", *of_group)
        gauge.add_metric((cluster, group), value)
        yield gauge
    sums = _gauge("kafka_consumergroup_group_topic_sum_lag", "Of all partitions of the topic", *of_group, "topic")
    for topic, total in _by_topic(report).items():
        sums.add_metric((cluster, group, topic), total)
    yield sums


def _kafka_exporter(report: LagReport) -> Iterable[Metric]:
    group = report.group_id
    of_group, of_log = ("consumergroup", "topic", "partition"), ("topic", "partition")
    lag = _gauge("kafka_consumergroup_lag", "Records behind the committed offset", *of_group)
    offset = _gauge("kafka_consumergroup_current_offset", "Committed offset", *of_group)
    current = _gauge("kafka_topic_partition_current_offset", "End of the log", *of_log)
    oldest = _gauge("kafka_topic_partition_oldest_offset", "Beginning of the log", *of_log)
    for found in report.partitions:
        where = (found.topic, str(found.partition))
        lag.add_metric((group, *where), found.lag)
        if found.committed_offset is not None:
            offset.add_metric((group, *where), found.committed_offset)
        current.add_metric(where, found.end_offset)
        oldest.add_metric(where, found.beginning_offset)
    yield from (lag, offset, current, oldest)
    partitions = _gauge("kafka_topic_partitions", "Partitions of the topic", "topic")
    for topic in _by_topic(report):
        partitions.add_metric((topic,), sum(found.topic == topic for found in report.partitions))
    yield partitions
    # Strimzi's dashboard finds its clusters by the labels that scraping adds to this one.
    built = _gauge("kafka_exporter_build_info", "Metrics of kafka_exporter, made by streamscorer", "version")
    built.add_metric(("streamscorer",), 1)
    yield built
    sums = _gauge("kafka_consumergroup_lag_sum", "Of all partitions of the topic", "consumergroup", "topic")
    for topic, total in _by_topic(report).items():
        sums.add_metric((group, topic), total)
    yield sums
    if report.members is not None:
        members = _gauge("kafka_consumergroup_members", "Members of the group", "consumergroup")
        members.add_metric((group,), report.members)
        yield members


def _by_topic(report: LagReport) -> dict[str, int]:
    totals: dict[str, int] = {}
    for found in report.partitions:
        totals[found.topic] = totals.get(found.topic, 0) + found.lag
    return totals


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels)
