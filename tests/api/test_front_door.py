"""What each request gets, whatever it asks: an id, a line, a measurement, and never the inside of a bug."""

import dataclasses
import re
import uuid

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from api.app import create_app
from api.services import Services
from telemetry import Metrics
from tests.api.answers import problem
from tests.api.conftest import client_of

pytestmark = pytest.mark.asyncio(loop_scope="session")
SERIES = "http_server_request_duration_seconds_count"


def fresh(services: Services, **changes: object) -> tuple[FastAPI, Metrics]:
    """An app with metrics of its own."""
    metrics = Metrics()
    return create_app(dataclasses.replace(services, metrics=metrics, **changes)), metrics  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize("path", ["/livez", "/nowhere", "/scores?limit=x", "/docs", "/metrics"])
async def test_a_good_request_id_is_echoed(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers={"x-request-id": "order-66/a.b:c"})
    assert answer.headers.get_list("x-request-id") == ["order-66/a.b:c"]


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", 'a"b', "<script>", "a\x7f", "ä", "-leading"])
async def test_a_bad_request_id_is_replaced(client: httpx.AsyncClient, given: str | None) -> None:
    headers = [] if given is None else [(b"x-request-id", given.encode("latin-1"))]
    made = (await client.get("/nowhere", headers=headers)).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", made)


async def test_unknown_paths_and_methods_are_problems(client: httpx.AsyncClient) -> None:
    problem(await client.get("/nowhere"), 404, "not-found", "/nowhere")
    problem(await client.get("/scores/a/b"), 404, "not-found")
    answer = await client.get("/predict")
    problem(answer, 405, "method-not-allowed", "POST, not GET")
    assert answer.headers["allow"] == "POST"
    problem(await client.delete("/scores"), 405, "method-not-allowed", "not DELETE")
    problem(await client.request("BREW", "/predict"), 405, "method-not-allowed", "not BREW")


async def test_an_odd_host_is_no_bug(client: httpx.AsyncClient) -> None:
    problem(await client.get("/nowhere", headers={"host": "["}), 404, "not-found")
    assert (await client.get("/docs", headers={"host": "["})).status_code == 200


async def test_head_is_let_in_where_get_is(client: httpx.AsyncClient) -> None:
    for path in ("/livez", "/scores", "/docs", "/openapi.json", "/problems/overloaded"):
        assert (await client.head(path)).status_code == 200, path
    assert (await client.head("/predict")).status_code == 405


async def test_a_flood_of_odd_requests_adds_one_series_each(services: Services) -> None:
    app, metrics = fresh(services)
    async with client_of(app) as client:
        for number in range(50):
            await client.get(f"/{uuid.uuid4()}/{number}")
            await client.request(f"M{number}", "/predict")
            await client.get(f"/problems/{uuid.uuid4()}")
            await client.get(f"/static-offline-docs/{uuid.uuid4()}")
    found = {
        (s.labels["http_request_method"], s.labels["http_route"], s.labels["http_response_status_code"]): s.value
        for family in metrics.registry.collect()
        for s in family.samples
        if s.name == SERIES
    }
    assert found == {
        ("GET", "(unmatched)", "404"): 50,
        ("_OTHER", "/predict", "405"): 50,
        ("GET", "/problems/{name}", "404"): 50,
        ("GET", "/static-offline-docs", "404"): 50,
    }


async def test_a_bug_is_logged_whole_and_told_without_the_inside(services: Services) -> None:
    async def broken() -> None:
        raise RuntimeError("password=hunter2")

    app, metrics = fresh(services, checks={"store": broken})
    async with client_of(app) as client:
        with capture_logs() as lines:
            answer = await client.get("/readyz", headers={"x-request-id": "r1"})
    assert problem(answer, 500, "internal-error", "request id r1")["title"] == "Internal error"
    assert "hunter2" not in answer.text
    [line] = [line for line in lines if line["log_level"] == "error"]
    assert line["exc_info"]
    labels = {"http_request_method": "GET", "http_route": "/readyz", "http_response_status_code": "500"}
    assert metrics.registry.get_sample_value(SERIES, labels) == 1


async def test_one_line_a_request_and_none_for_health(client: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        await client.get("/scores/nothing?source=x")
        for path in ("/livez", "/readyz", "/health", "/metrics"):
            assert (await client.get(path)).status_code == 200
    [line] = lines
    assert (line["event"], line["method"], line["route"], line["status"]) == (
        "request",
        "GET",
        "/scores/{event_id}",
        404,
    )
    assert line["problem"] == "not-found"
    assert line["ms"] >= 0


async def test_cors_lets_in_only_the_origins_that_are_set(services: Services) -> None:
    app, _ = fresh(services, settings=services.settings.model_copy(update={"cors_origins": ("https://ours.example",)}))
    async with client_of(app) as client:
        ours = await client.get("/nowhere", headers={"origin": "https://ours.example"})
        assert ours.headers["access-control-allow-origin"] == "https://ours.example"
        assert "X-Request-ID" in ours.headers["access-control-expose-headers"]
        theirs = await client.get("/nowhere", headers={"origin": "https://theirs.example"})
        assert "access-control-allow-origin" not in theirs.headers
        asks = {"origin": "https://ours.example", "access-control-request-method": "POST"}
        assert (await client.options("/predict", headers=asks)).status_code == 200


async def test_every_problem_type_has_its_page(client: httpx.AsyncClient) -> None:
    kind = (await client.get("/nowhere")).json()["type"]
    page = (await client.get(kind)).json()
    assert (page["type"], page["status"]) == (kind, 404)
    assert page["meaning"]
    problem(await client.get("/problems/none-such"), 404, "not-found", "none-such")
