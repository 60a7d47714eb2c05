"""A request as a trace shows it: below its caller's span, with what the core did, and on into Kafka."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from api.app import create_app
from api.services import Services
from schemas.events import ImageEvent
from telemetry import Metrics
from tests.api.conftest import client_of
from tests.api.test_events import CAT, CLOUD, TRACE, kept
from tests.tracing.collector import Collector
from tracing.opening import open_tracing

pytestmark = pytest.mark.asyncio(loop_scope="session")
TRACE_ID, CALLER = TRACE.split("-")[1:3]
OPENMETRICS = {"accept": "application/openmetrics-text"}
OTHER = "00-11111111111111111111111111111111-2222222222222222-01"


@asynccontextmanager
async def traced(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app with traces on; at the end of the block the collector has them all."""
    async with open_tracing() as tracing:
        assert tracing is not None
        app = create_app(dataclasses.replace(services, metrics=Metrics(), tracing=tracing))
        async with client_of(app) as client:
            yield client


async def event_of(services: Services, answer: httpx.Response) -> ImageEvent:
    assert answer.status_code == 202, answer.text
    return (await kept(services, answer.json()))[1]


async def test_a_request_goes_on_below_its_caller_with_the_stages_of_its_answer(
    services: Services, collector: Collector
) -> None:
    async with traced(services) as client:
        with capture_logs(processors=[merge_contextvars]) as lines:
            answer = await client.post("/predict?top_k=1&mine=", content=CAT, headers={"traceparent": TRACE})
            assert answer.status_code == 422
            answer = await client.post("/predict/?top_k=1", content=CAT, headers={"traceparent": TRACE})
            assert answer.status_code == 200
    refused, scored = sorted(collector.below_id(TRACE_ID, CALLER), key=lambda span: span.began_ns)
    assert (scored.name, scored.kind, scored.failed) == ("POST /predict", "SERVER", False)
    assert scored.attributes == {
        "http.request.method": "POST",
        "http.route": "/predict",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/predict/",
        "network.protocol.version": "1.1",
        "server.address": "scorer",
    }
    assert refused.attributes["http.response.status_code"] == 422
    assert not refused.failed
    stages = collector.below(scored)
    assert {"queue"} <= set(stages) <= {"decode", "queue", "infer"}  # the cache may know the picture
    assert all(scored.began_ns <= span.began_ns < span.ended_ns <= scored.ended_ns for span in stages.values())
    assert {line["trace_id"] for line in lines} == {TRACE_ID}
    assert "traceparent" not in answer.headers


async def test_without_a_caller_a_trace_begins_here_and_is_in_the_log(services: Services, collector: Collector) -> None:
    async with traced(services) as client:
        with capture_logs(processors=[merge_contextvars]) as lines:
            assert (await client.get("/nowhere/secret-path")).status_code == 404
            for path in ("/livez", "/readyz", "/metrics"):
                await client.get(path)
    span = collector.one("GET")
    assert span.parent == ""
    assert "http.route" not in span.attributes
    assert [line["trace_id"] for line in lines] == [span.trace_id]


async def test_a_bug_is_a_failed_span_without_its_message(services: Services, collector: Collector) -> None:
    async def broken() -> None:
        raise RuntimeError("password=hunter2")

    services = dataclasses.replace(services, fetcher=broken)  # type: ignore[arg-type]  # it has no method at all
    async with traced(services) as client:
        with capture_logs():
            assert (await client.post("/predict", json={"image_uri": "http://x/y"})).status_code == 500
    span = collector.one("POST /predict")
    assert (span.failed, span.attributes["error.type"]) == (True, "500")
    assert "hunter2" not in collector.text


async def test_an_event_is_sent_to_kafka_as_a_step_of_its_request(services: Services, collector: Collector) -> None:
    async with traced(services) as client:
        event = await event_of(services, await client.post("/events", content=CAT, headers={"traceparent": TRACE}))
    [request] = collector.below_id(TRACE_ID, CALLER)
    send = collector.below(request)[f"send {services.settings.kafka_topic}"]
    assert (send.kind, event.traceparent) == ("PRODUCER", f"00-{TRACE_ID}-{send.id}-01")


async def test_an_event_of_another_trace_stays_in_it_with_a_link_to_the_request(
    services: Services, collector: Collector
) -> None:
    headers = {f"ce-{name}": text for name, text in CLOUD.items() if name != "datacontenttype"}
    headers |= {"ce-id": "linked", "ce-traceparent": OTHER}
    async with traced(services) as client:
        event = await event_of(services, await client.post("/events", content=CAT, headers=headers))
    request, send = collector.one("POST /events"), collector.one(f"send {services.settings.kafka_topic}")
    assert (send.trace_id, send.parent, send.links) == (*OTHER.split("-")[1:3], [request.place])
    assert event.traceparent == f"00-{send.trace_id}-{send.id}-01"


async def test_a_caller_that_does_not_keep_its_trace_is_followed_in_that(
    services: Services, collector: Collector
) -> None:
    headers = {"traceparent": f"{TRACE[:-2]}00"}
    async with traced(services) as client:
        event = await event_of(services, await client.post("/events", content=CAT, headers=headers))
        scraped = (await client.get("/metrics", headers=OPENMETRICS)).text
    assert collector.spans == []
    assert event.traceparent is not None
    assert (event.traceparent[:35], event.traceparent[-2:]) == (TRACE[:35], "00")
    assert TRACE_ID not in scraped


async def test_the_duration_of_a_request_points_to_its_trace_for_those_who_ask_for_openmetrics(
    services: Services, collector: Collector
) -> None:
    async with traced(services) as client:
        await client.get("/scores/summary-of-nothing?source=x")
        told = (await client.get("/metrics", headers=OPENMETRICS)).text
        plain = (await client.get("/metrics")).text
    series = [line for line in told.splitlines() if line.startswith("http_server_request_duration_seconds_bucket{")]
    [with_exemplar] = [
        line for line in series if f'trace_id="{collector.one("GET /scores/{event_id}").trace_id}"' in line
    ]
    assert 'http_route="/scores/{event_id}"' in with_exemplar
    assert "trace_id" not in plain
    assert " # " not in plain


async def test_with_traces_off_a_caller_s_own_trace_is_in_the_log_and_beside_the_duration(services: Services) -> None:
    async with client_of(create_app(dataclasses.replace(services, metrics=Metrics()))) as client:
        with capture_logs(processors=[merge_contextvars]) as lines:
            await client.get("/scores/nothing?source=x", headers={"traceparent": TRACE})
            await client.get("/scores/nothing?source=x", headers={"traceparent": f"{OTHER[:-2]}00"})
        told = (await client.get("/metrics", headers=OPENMETRICS)).text
    assert [line["trace_id"] for line in lines] == [TRACE_ID, OTHER.split("-")[1]]
    assert f'trace_id="{TRACE_ID}"' in told
    assert OTHER.split("-")[1] not in told
