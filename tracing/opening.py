"""Whether traces are wanted, and where they go: the OTEL_ variables, as OpenTelemetry's specification names them."""

import asyncio
import logging
import os
import re
import threading
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from errors import UsageError
from telemetry import logger

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    from tracing.spans import Tracing

log = logger("tracing")
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_FLUSH_S = 1.5
"""What the last spans may take at the end."""


def wanted() -> str | None:
    """The variable that asks for traces, or None. Raises UsageError for what we cannot do here."""
    variable = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
    if variable is None or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    if exporter == "none":
        return None
    if exporter != "otlp":
        raise UsageError(f"OTEL_TRACES_EXPORTER={exporter}: it must be otlp or none")
    for name in _PROTOCOLS:
        if (protocol := os.environ.get(name) or "http/protobuf") != "http/protobuf":
            raise UsageError(f"{name}={protocol}: it must be http/protobuf")
    if _address(variable) is None:  # its value may hold a password: it is not shown
        raise UsageError(f"{variable} must be an address like http://collector:4318")
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter
        import opentelemetry.sdk.trace.export  # noqa: F401
    except ImportError as lacking:
        raise UsageError(
            f"{variable} is set and {lacking.name} is not installed: install the extra otel "
            f"(pip install -e '.[otel]'), or unset {variable}"
        ) from lacking
    return variable


@asynccontextmanager
async def open_tracing() -> "AsyncIterator[Tracing | None]":
    """Traces for as long as the block runs, or None where no variable asks for them.

    Spans are sent by a thread, from a bounded queue. A collector that is away costs the spans that do not fit into it,
    a line in the log when that begins and one when it ends, and at most `_FLUSH_S` at the end.
    Raises UsageError for variables that cannot be obeyed.
    """
    variable = wanted()
    if variable is None:
        yield None
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from tracing.spans import Tracing

    ours = {"service.version": version("streamscorer"), "service.instance.id": str(uuid.uuid4())}
    if not os.environ.get("OTEL_SERVICE_NAME") and "service.name=" not in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    ):
        ours[SERVICE_NAME] = "streamscorer"
    try:
        sink = _Sink(OTLPSpanExporter(), str(_address(variable)))
        provider = TracerProvider(resource=Resource.create(ours), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(sink))  # type: ignore[arg-type]  # it has all that is asked for
    except ValueError as error:
        raise UsageError(f"the OTEL_ variables cannot be obeyed: {error}") from error
    _hush(sink)
    log.info("traces are on", collector=sink.address)
    try:
        yield Tracing(provider.get_tracer("streamscorer", ours["service.version"]))
    finally:
        await asyncio.to_thread(_close, provider, sink)


class _Sink:
    """The exporter, with a line in the log when the collector goes away and when it is back."""

    def __init__(self, exporter: "SpanExporter", address: str) -> None:
        self._exporter = exporter
        self._refused: str | None = None
        self._over = False
        self.address = address
        self.away = False

    def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
        self._refused = None
        result = self._exporter.export(spans)
        away = result.name != "SUCCESS"
        if self._over:  # we send nothing more: that is not the collector's doing
            return result
        if away and not self.away:
            log.warning("the collector takes no traces", collector=self.address, why=self._refused or "no answer")
        elif self.away and not away:
            log.info("the collector takes traces again", collector=self.address)
        self.away = away
        return result

    def filter(self, record: logging.LogRecord) -> bool:
        """As a filter of the exporter's log, which tells of each attempt: the status is kept, the line is not."""
        if status := re.search(r"\bcode: (\d{3})\b", record.getMessage()):
            self._refused = f"HTTP {status.group(1)}"
        return False

    def shutdown(self) -> None:
        self._over = True
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _hush(sink: _Sink) -> None:
    """What OpenTelemetry itself logs comes with each attempt and each span that is dropped."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    attempts = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    attempts.setLevel(logging.ERROR)
    attempts.filters[:] = [sink.filter]


def _close(provider: "TracerProvider", sink: _Sink) -> None:
    if sink.away:
        sink.shutdown()  # what is queued is lost; without this it would be tried once more, in vain
    closing = threading.Thread(target=provider.shutdown, name="close-traces", daemon=True)
    closing.start()
    closing.join(_FLUSH_S)


def _address(variable: str) -> str | None:
    """scheme://host[:port] of an endpoint, without a user, a password or a path; None where it is no address."""
    try:
        parts = urlsplit(os.environ[variable])
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.hostname}{port}" if parts.scheme in ("http", "https") and parts.hostname else None
