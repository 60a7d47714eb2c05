"""Spans: of requests, of what goes to Kafka, and of stages that were measured.

Names and attributes are those of OpenTelemetry's conventions for HTTP, messaging and Kafka
(https://opentelemetry.io/docs/specs/semconv/). Imported where traces are on, and only there.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, Protocol

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer

__all__ = ["Attributes", "Span", "Tracing"]
Attributes = Mapping[str, str | int]
Kind = Literal["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
_OPERATION_TYPES = {"send": "send", "process": "process", "commit": "settle"}


class Stages(Protocol):
    """Milliseconds of what happened to one image, as its prediction tells them."""

    @property
    def decode(self) -> float: ...
    @property
    def queue(self) -> float: ...
    @property
    def infer(self) -> float: ...
    @property
    def total(self) -> float: ...


class Tracing:
    """Makes spans. A parent is a span of ours, or the W3C traceparent of somebody else's; None begins a trace.

    Times are those of time.time_ns(); None stands for now.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start(
        self,
        name: str,
        parent: Span | str | None,
        attributes: Attributes,
        *,
        kind: Kind = "INTERNAL",
        began_ns: int | None = None,
    ) -> Span:
        """A span that the caller ends."""
        above = _remote(parent) if isinstance(parent, str) else parent
        context = Context() if above is None else trace.set_span_in_context(above, Context())
        return self._tracer.start_span(name, context, SpanKind[kind], attributes, start_time=began_ns)

    def measured(self, name: str, parent: Span, began_ns: int, ended_ns: int) -> None:
        """A stage that is over."""
        self.start(name, parent, {}, began_ns=began_ns).end(ended_ns)

    def stages(self, parent: Span, began_ns: int, ms: Stages) -> None:
        """`decode`, `queue` and `infer` of one image that came into the core at `began_ns`.

        They are drawn one behind the other, as they are told: waiting for a decode thread counts as `queue`. What took
        no time (an answer from the cache) is left out.
        """
        for name, took_ms in (("decode", ms.decode), ("queue", ms.queue), ("infer", ms.infer)):
            ended_ns = began_ns + int(took_ms * 1e6)
            if took_ms:
                self.measured(name, parent, began_ns, ended_ns)
            began_ns = ended_ns

    def predicted(self, ms: Stages) -> None:
        """The stages of an answer that came just now, below the request that runs here."""
        self.stages(trace.get_current_span(), time.time_ns() - int(ms.total * 1e6), ms)

    @contextmanager
    def request(self, method: str, parent: str | None, attributes: Attributes) -> Iterator[Span]:
        """The span of an HTTP request, current within the block; `answered` completes it."""
        told = {"http.request.method": method, **attributes}
        span = self.start(_in_names(method), parent, told, kind="SERVER")
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            yield span

    def answered(self, span: Span, method: str, route: str | None, status: int) -> None:
        """How a request went. `route` is the template, None where no route fits."""
        if route is not None:
            span.update_name(f"{_in_names(method)} {route}")
            span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self.failed(span, str(status))

    @contextmanager
    def sending(self, topic: str, traceparent: str | None) -> Iterator[Span]:
        """The span of a record on its way to Kafka.

        `traceparent` is what its event came with. It goes below the request that runs here; but an event of another
        trace than the request goes on in its own, with a link to the request.
        """
        request, own = trace.get_current_span(), None if traceparent is None else _remote(traceparent)
        asked = request.get_span_context()
        elsewhere = own is not None and own.get_span_context().trace_id != asked.trace_id
        parent = request if asked.is_valid and not elsewhere else own
        span = self.start(f"send {topic}", parent, self.messaging("send", topic), kind="PRODUCER")
        if asked.is_valid and elsewhere:
            self.link(span, [request])
        try:
            yield span
        except Exception as error:
            self.failed(span, type(error).__name__)
            raise
        finally:
            span.end()

    def messaging(self, operation: str, topic: str) -> dict[str, str]:
        """What every span of this operation on this topic says."""
        return {
            "messaging.system": "kafka",
            "messaging.operation.name": operation,
            "messaging.operation.type": _OPERATION_TYPES[operation],
            "messaging.destination.name": topic,
        }

    def link(self, span: Span, others: Sequence[Span]) -> None:
        """Where else to look. (The SDK keeps 128 of them, or OTEL_SPAN_LINK_COUNT_LIMIT.)"""
        for other in others:
            span.add_link(other.get_span_context())

    def failed(self, span: Span, kind: str) -> None:
        """It did not work; `kind` is a name out of few, never a message."""
        span.set_attribute("error.type", kind)
        span.set_status(StatusCode.ERROR)

    def traceparent(self, span: Span) -> str:
        """The span as the parent of what comes after it, in W3C's form."""
        context = span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & TraceFlags.SAMPLED:02x}"

    def trace_id(self, span: Span) -> str:
        """Lower hex."""
        return f"{span.get_span_context().trace_id:032x}"


def _in_names(method: str) -> str:
    return "HTTP" if method == "_OTHER" else method


def _remote(traceparent: str) -> Span:
    _, whole, parent, flags = traceparent.split("-")[:4]
    return NonRecordingSpan(SpanContext(int(whole, 16), int(parent, 16), True, TraceFlags(int(flags, 16))))
