"""Health tells the truth: alive is not ready, and what is away is named."""

import asyncio
import dataclasses

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from api import health
from api.app import create_app, create_health_app
from api.services import Services, begin_draining
from errors import StoreUnavailable
from schemas.http import CheckResult
from telemetry import Metrics
from tests.api.answers import problem
from tests.api.conftest import client_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def fine() -> None:
    return None


async def away() -> None:
    raise StoreUnavailable("PostgreSQL does not answer")


async def never() -> None:
    await asyncio.Event().wait()


async def wrong() -> str:
    return "topic image-events does not exist"


async def test_all_is_well(client: httpx.AsyncClient, services: Services) -> None:
    assert (await client.get("/livez")).json() == {"status": "alive"}
    assert (await client.get("/readyz")).json() == {"status": "ready", "checks": {"inference": {"ok": True}}}
    body = (await client.get("/health")).json()
    assert body["status"] == "ready"
    assert body["model_version"] == services.core.info.model_version
    assert (body["engine"], body["precision"], body["untrained"]) == ("torch", "fp32", False)


async def test_readiness_names_what_does_not_work(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_TIMEOUT_S", 0.05)
    checks = {"fine": fine, "store": away, "kafka": never, "topic": wrong}
    async with client_of(create_app(dataclasses.replace(services, checks=checks))) as client:
        for path in ("/readyz", "/health"):
            found = problem(await client.get(path), 503, "not-ready", "store: PostgreSQL does not answer")["checks"]
            assert found.pop("fine") == found.pop("inference") == {"ok": True}
            assert found == {
                "store": {"ok": False, "reason": "PostgreSQL does not answer"},
                "kafka": {"ok": False, "reason": "no answer within 0.05 s"},
                "topic": {"ok": False, "reason": "topic image-events does not exist"},
            }
        assert (await client.get("/livez")).status_code == 200


async def test_what_an_operator_has_paused_is_named_and_ready() -> None:
    async def paused() -> CheckResult:
        return CheckResult(ok=True, state="paused", reason="paused by ann: broken deploy")

    told = {"ok": True, "state": "paused", "reason": "paused by ann: broken deploy"}
    async with client_of(create_health_app({"consumer": paused, "store": fine}, Metrics())) as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        200, {"status": "ready", "checks": {"consumer": told, "store": {"ok": True}}},
    )  # fmt: skip
    async with client_of(create_health_app({"consumer": paused, "store": away}, Metrics())) as client:
        checks = problem(await client.get("/readyz"), 503, "not-ready", "store: PostgreSQL does not answer")["checks"]
    assert checks == {"consumer": told, "store": {"ok": False, "reason": "PostgreSQL does not answer"}}


async def test_draining_is_alive_and_not_ready(services: Services) -> None:
    app = create_app(services)
    begin_draining(app)
    async with client_of(app) as client:
        problem(await client.get("/readyz"), 503, "not-ready", "process: is stopping")
        assert (await client.get("/livez")).status_code == 200


async def test_a_dead_worker_is_not_alive() -> None:
    app = create_health_app({}, Metrics(), trouble=lambda: "the device thread ended: out of memory")
    async with client_of(app) as client:
        problem(await client.get("/livez"), 503, "not-alive", "device thread ended")


async def test_the_health_app_serves_nothing_else() -> None:
    async with client_of(create_health_app({"kafka": fine}, Metrics())) as client:
        assert (await client.get("/readyz")).json() == {"status": "ready", "checks": {"kafka": {"ok": True}}}
        assert (await client.get("/metrics")).status_code == 200
        for path in ("/predict", "/docs", "/openapi.json", "/"):
            problem(await client.get(path), 404, "not-found")


async def test_metrics_come_in_the_format_that_was_asked_for(client: httpx.AsyncClient) -> None:
    plain = await client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert "scorer_records" in {family.name for family in prometheus(plain.text)}
    modern = await client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    assert "scorer_records" in {family.name for family in open_metrics(modern.text)}  # type: ignore[no-untyped-call]  # of the client library
