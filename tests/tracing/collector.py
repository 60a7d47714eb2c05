"""A collector of traces: an OTLP endpoint on a port of its own, which keeps the spans that it is sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

KINDS = {number: name.removeprefix("SPAN_KIND_") for name, number in Span.SpanKind.items()}


class Told:
    """One span, as the wire tells it."""

    def __init__(self, span: Span, resource: dict[str, Any]) -> None:
        self.name = span.name
        self.kind = KINDS[span.kind]
        self.trace_id, self.id, self.parent = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
        self.attributes = _plain(span.attributes)
        self.links = [(link.trace_id.hex(), link.span_id.hex()) for link in span.links]
        self.began_ns, self.ended_ns = span.start_time_unix_nano, span.end_time_unix_nano
        self.failed = span.status.code == span.status.STATUS_CODE_ERROR
        self.resource = resource

    @property
    def place(self) -> tuple[str, str]:
        return self.trace_id, self.id


class Collector:
    """`status` is what the next exports are answered with; 200 keeps their spans."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.asked = 0
        self.spans: list[Told] = []
        self.text = ""
        """All that it was sent, in protobuf's text form."""

    def one(self, name: str, *, parent: str | None = None) -> Told:
        """The only span of this name, of those below `parent` where that is given."""
        found = [span for span in self.spans if span.name == name and parent in (None, span.parent)]
        assert len(found) == 1, (name, parent, [(span.name, span.parent) for span in self.spans])
        return found[0]

    def below(self, parent: Told) -> dict[str, Told]:
        """The children of a span by their names."""
        return {span.name: span for span in self.below_id(*parent.place)}

    def below_id(self, trace_id: str, parent: str) -> list[Told]:
        """The children of a span that somebody else may have made."""
        return [span for span in self.spans if (span.trace_id, span.parent) == (trace_id, parent)]

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        self.text += str(request)
        for of_resource in request.resource_spans:
            resource = _plain(of_resource.resource.attributes)
            for scope in of_resource.scope_spans:
                self.spans += [Told(span, resource) for span in scope.spans]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces"
            collector.asked += 1
            if collector.status == 200:
                collector.take(body)
            self.send_response(collector.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield collector
        finally:
            server.shutdown()
            serving.join()


def _plain(pairs: "Iterator[KeyValue] | Any") -> dict[str, Any]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in pairs}
