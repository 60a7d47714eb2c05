"""Traces are on where the OTEL_ variables say so, and what becomes of their collector concerns nobody else."""

import socket
import sys
import time

import pytest
from structlog.testing import capture_logs

from errors import UsageError
from tests.tracing.collector import collecting
from tests.waiting import eventually
from tracing.opening import open_tracing, wanted

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {ENDPOINT: ""},
        {ENDPOINT: "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"},
        {ENDPOINT: "http://c:4318", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SERVICE_NAME": "x"},
    ],
)
async def test_without_an_endpoint_or_with_a_no_there_are_no_traces(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    async with open_tracing() as tracing:
        assert tracing is None


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER=zipkin: it must be otlp or none"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: it must be http/protobuf"),
        ({ENDPOINT: "me:hunter2@c:4318"}, f"{ENDPOINT} must be an address like http://collector:4318"),
        ({ENDPOINT: "http://c:port"}, f"{ENDPOINT} must be an address like http://collector:4318"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "the OTEL_ variables cannot be obeyed: max_queue_size"),
    ],
)
async def test_what_cannot_be_obeyed_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], complaint: str
) -> None:
    for name, value in ({ENDPOINT: "http://c:4318"} | variables).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as told:
        async with open_tracing():
            pass
    assert complaint in str(told.value)
    assert "hunter2" not in str(told.value)


async def test_a_missing_extra_is_wrong_usage_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://c:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(UsageError, match=rf"{ENDPOINT} is set and .* is not installed: install the extra otel"):
        async with open_tracing():
            pass


async def test_the_more_special_endpoint_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/v1/traces")
        assert wanted() == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
        async with open_tracing() as tracing:
            assert tracing is not None
            tracing.start("a", None, {}).end()
        assert collector.one("a").resource["service.name"] == "streamscorer"


async def test_a_named_service_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv(ENDPOINT, collector.url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "scorer-eu")
        async with open_tracing() as tracing:
            assert tracing is not None
            tracing.start("a", None, {}).end()
        assert collector.one("a").resource["service.name"] == "scorer-eu"


async def test_a_collector_that_refuses_costs_one_line_and_one_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector, capture_logs() as lines:
        monkeypatch.setenv(ENDPOINT, collector.url.replace("//", "//me:hunter2@"))
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
        collector.status = 401
        async with open_tracing() as tracing:
            assert tracing is not None
            for number in range(1, 4):
                tracing.start("lost", None, {}).end()
                await eventually(lambda seen=number: collector.asked >= seen)  # type: ignore[misc]  # bound at once
            collector.status = 200
            for _ in range(2):
                tracing.start("kept", None, {}).end()
                await eventually(lambda: len(lines) >= 3)
    assert [(line["event"], line.get("why")) for line in lines] == [
        ("traces are on", None),
        ("the collector takes no traces", "HTTP 401"),
        ("the collector takes traces again", None),
    ]
    assert "hunter2" not in str(lines)


async def test_a_collector_that_never_answers_costs_neither_lines_nor_time_at_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "600")
        async with open_tracing() as tracing:
            assert tracing is not None
            for _ in range(2000):
                tracing.start("mostly lost", None, {}).end()
            began = time.monotonic()
        assert time.monotonic() - began < 5
    assert [record.getMessage() for record in caplog.records] == []
