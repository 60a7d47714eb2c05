"""The report as metrics: the names and labels that dashboards read, and no series that is not true now."""

from datetime import timedelta
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics

from errors import BrokerUnavailable
from monitor.export import LagCollector
from monitor.watcher import Watcher
from settings import MonitorSettings
from tests.monitor.histories import NOW, TOPIC, History, partition, said

MEMBER = {"member_host": "10.0.0.1", "consumer_id": "streamscorer-1a2b3c4d", "client_id": "streamscorer"}
PLACE = {"topic": TOPIC, "partition": "0"}
GROUP = {"cluster_name": "cluster", "group": "scorers"}


def registry_of(watcher: Watcher, *, exports: bool = True) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(LagCollector(watcher, lambda: exports))
    return registry


def watcher() -> Watcher:
    """It has seen seven records scored, 83 that wait for 40 s behind a stall, and an idle partition without owner."""
    made = Watcher(MonitorSettings(kafka_bootstrap_servers="127.0.0.1:1"))
    waits = said(NOW + 3, "waiting", why="store: away", since=NOW - 30, oldest=NOW - 35)
    made._succeeded(History().look(partition(7, 90, waits, beginning=2), partition(5, 5, number=1, owner=None)))
    return made


def test_our_own_names() -> None:
    value = registry_of(watcher()).get_sample_value
    assert value("scorer_consumer_lag_records", PLACE) == 83
    assert value("scorer_consumer_lag_seconds", PLACE) == 40
    statuses = {
        name: value("scorer_consumer_lag_status", PLACE | {"status": name})
        for name in ("OK", "WARN", "STALL", "STOP", "REWIND")
    }
    assert statuses == {"OK": 0, "WARN": 0, "STALL": 1, "STOP": 0, "REWIND": 0}
    assert value("scorer_consumer_lag_eta_seconds") == float("inf")
    assert value("scorer_lag_sample_timestamp_seconds") == NOW + 5
    assert value("scorer_lag_sample_failures_total") == 0


def test_the_names_of_kafka_lag_exporter() -> None:
    value = registry_of(watcher()).get_sample_value
    assert value("kafka_consumergroup_group_lag", GROUP | PLACE | MEMBER) == 83
    assert value("kafka_consumergroup_group_lag_seconds", GROUP | PLACE | MEMBER) == 40
    assert value("kafka_consumergroup_group_offset", GROUP | PLACE | MEMBER) == 7
    assert value("kafka_consumergroup_group_max_lag", GROUP) == 83
    assert value("kafka_consumergroup_group_max_lag_seconds", GROUP) == 40
    assert value("kafka_consumergroup_group_sum_lag", GROUP) == 83
    assert value("kafka_consumergroup_group_topic_sum_lag", GROUP | {"topic": TOPIC}) == 83
    assert value("kafka_partition_latest_offset", {"cluster_name": "cluster"} | PLACE) == 90
    assert value("kafka_partition_earliest_offset", {"cluster_name": "cluster"} | PLACE) == 2


def test_the_names_of_kafka_exporter() -> None:
    value, group = registry_of(watcher()).get_sample_value, {"consumergroup": "scorers"}
    assert value("kafka_consumergroup_lag", group | PLACE) == 83
    assert value("kafka_consumergroup_current_offset", group | PLACE) == 7
    assert value("kafka_consumergroup_lag_sum", group | {"topic": TOPIC}) == 83
    assert value("kafka_consumergroup_members", group) == 1
    assert value("kafka_topic_partition_current_offset", PLACE) == 90
    assert value("kafka_topic_partition_oldest_offset", PLACE) == 2
    assert value("kafka_topic_partitions", {"topic": TOPIC}) == 2


def test_while_nothing_is_known_there_is_no_lag_and_the_failures_count() -> None:
    blind = watcher()
    blind._failed(BrokerUnavailable("away"))
    samples = {sample.name for metric in registry_of(blind).collect() for sample in metric.samples}
    assert samples == {"scorer_lag_sample_timestamp_seconds", "scorer_lag_sample_failures_total"}
    assert registry_of(blind).get_sample_value("scorer_lag_sample_failures_total") == 1


def test_a_partition_that_is_gone_has_no_series() -> None:
    seen = watcher()
    registry, second = registry_of(seen), PLACE | {"partition": "1"}
    assert registry.get_sample_value("scorer_consumer_lag_records", second) == 0
    seen._succeeded(History().look(partition(7, 90)))
    assert registry.get_sample_value("scorer_consumer_lag_records", second) is None


def test_only_the_process_whose_turn_it_is_exports_the_lag() -> None:
    seen = watcher()
    registry = registry_of(seen, exports=False)

    def samples() -> set[str]:
        return {sample.name for metric in registry.collect() for sample in metric.samples}

    assert samples() == {"scorer_lag_sample_failures_total"}  # of its own looks
    seen._failed(BrokerUnavailable("away"))
    assert samples() == {"scorer_lag_sample_failures_total"}  # one look that fails is no news
    assert seen._blind_since is not None
    seen._blind_since -= timedelta(seconds=5)
    seen._failed(BrokerUnavailable("away"))
    assert samples() == {"scorer_lag_sample_failures_total", "scorer_lag_sample_timestamp_seconds"}


def test_it_can_be_scraped_as_open_metrics() -> None:
    render: Any = open_metrics
    assert b'scorer_consumer_lag_records{partition="0",topic="image-events"} 83' in render(registry_of(watcher()))
