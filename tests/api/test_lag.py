"""GET /lag: the last look, or a 503 that says why nothing is known; with neither database nor model."""

import httpx
from fastapi import FastAPI

from api.app import create_health_app
from errors import BrokerUnavailable, UsageError
from monitor.export import LagCollector
from monitor.watcher import Watcher
from settings import MonitorSettings
from telemetry import Metrics
from tests.monitor.histories import NOW, History, partition, said


def served(watcher: Watcher) -> httpx.AsyncClient:
    metrics = Metrics()
    metrics.registry.register(LagCollector(watcher))
    app: FastAPI = create_health_app({"kafka": watcher.trouble}, metrics, watcher=watcher)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://monitor")


def watcher() -> Watcher:
    return Watcher(MonitorSettings(kafka_bootstrap_servers="127.0.0.1:1"))


async def test_the_report_as_json_and_as_metrics() -> None:
    seen = watcher()
    seen._succeeded(History().look(partition(7, 90, said(NOW - 60, open=False), owner=None)))
    async with served(seen) as client:
        answer = await client.get("/lag")
        metrics = await client.get("/metrics")
        ready = await client.get("/readyz")
    body = answer.json()
    assert (answer.status_code, body["status"], body["lag"], body["time_lag_s"]) == (200, "STOP", 83, 60.0)
    assert body["partitions"][0]["committed_offset"] == 7
    assert 'scorer_consumer_lag_records{partition="0",topic="image-events"} 83.0' in metrics.text
    assert ready.status_code == 200


async def test_while_kafka_does_not_answer_there_is_no_report_but_a_reason() -> None:
    seen = watcher()
    seen._succeeded(History().look(partition(90, 90)))
    seen._failed(BrokerUnavailable("Kafka at 127.0.0.1:1 does not answer"))
    async with served(seen) as client:
        answer = await client.get("/lag")
        ready = await client.get("/readyz")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["type"] == "/problems/broker-unavailable"
    assert "Kafka at 127.0.0.1:1 does not answer; the last that was known, at 08:00:05Z" in answer.json()["detail"]
    assert ready.status_code == 503


async def test_what_kafka_refuses_needs_an_operator() -> None:
    seen = watcher()
    seen._failed(UsageError("consumer group scorers does not exist"))
    async with served(seen) as client:
        answer = await client.get("/lag")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/dependency-misconfigured")
    assert "consumer group scorers does not exist" in answer.json()["detail"]
