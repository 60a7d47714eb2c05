"""The outermost layer of a request: its id, one log line, one measurement, one span, and the last word on bugs."""

import re
import time
import uuid
from collections.abc import MutableMapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from api.responses import bug_response
from schemas.fields import is_sampled, valid_traceparent
from telemetry import TRACED, Metrics, logger, with_trace

if TYPE_CHECKING:
    from tracing.spans import Span, Tracing

log = logger("api")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET = frozenset({"/livez", "/readyz", "/health", "/metrics"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@~-]{0,127}")
UNMATCHED = "(unmatched)"
CLIENT_LEFT = 499


class FrontDoor:
    """Pure ASGI. Also lets HEAD in where GET is, and takes /predict/ for /predict, without a redirect."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracing: "Tracing | None" = None) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers.get("x-request-id"))
        inner = _inner(scope, request_id)
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        began = time.perf_counter()
        caller = valid_traceparent(headers.get("traceparent"))
        with self._span(scope, inner, caller) as span, bound_contextvars(**self._ids(request_id, span, caller)):
            try:
                await self._app(inner, receive, answer)
            except ClientDisconnect:
                status = CLIENT_LEFT
            except Exception:
                log.exception("request failed", method=_method(scope), route=_route(scope, inner))
                if status:
                    raise  # half an answer is out: let the server cut the connection
                await bug_response(request_id)(inner, receive, answer)
            finally:
                method, route = _method(scope), _route(scope, inner)
                self._note(inner, method, route, status or CLIENT_LEFT, time.perf_counter() - began)
                if self._tracing is not None and span is not None:
                    known = route if route != UNMATCHED else None
                    self._tracing.answered(span, method, known, status or CLIENT_LEFT)

    def _span(self, scope: Scope, inner: Scope, caller: str | None) -> "AbstractContextManager[Span | None]":
        """The request's span, below its caller's; None where traces are off, and for those who ask how we are."""
        if self._tracing is None or inner["path"] in _QUIET:
            return nullcontext()
        host, port = scope.get("server") or (None, None)
        about = {
            "url.scheme": scope.get("scheme", "http"),
            "url.path": scope["path"],  # without the query, where callers put what is nobody's business
            "network.protocol.version": scope.get("http_version", "1.1"),
            **({"server.address": host} if host else {}),
            **({"server.port": port} if port else {}),
        }
        return self._tracing.request(_method(scope), caller, about)

    def _ids(self, request_id: str, span: "Span | None", caller: str | None) -> dict[str, str]:
        """What each log line of the request names it by; its trace is noted for exemplars where somebody keeps it."""
        if self._tracing is not None and span is not None:
            trace_id, kept = self._tracing.trace_id(span), span.is_recording()
        elif caller is not None:
            trace_id, kept = caller.split("-")[1], is_sampled(caller)
        else:
            trace_id, kept = None, False
        TRACED.set(trace_id if kept else None)
        return {"request_id": request_id, **with_trace(trace_id)}

    def _note(self, inner: Scope, method: str, route: str, status: int, seconds: float) -> None:
        self._metrics.http_seconds.labels(method, route, str(status)).observe(seconds, with_trace(TRACED.get()))
        if route not in _QUIET:
            kind = {"problem": found} if (found := inner["state"].get("problem")) else {}
            log.info("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1), **kind)


def _inner(scope: Scope, request_id: str) -> dict[str, Any]:
    path, method = scope["path"], scope["method"]
    return {
        **scope,
        "path": path.rstrip("/") or "/",
        "method": "GET" if method == "HEAD" else method,
        "http_method": method,
        "state": {**scope.get("state", {}), "request_id": request_id},
    }


def _request_id(given: str | None) -> str:
    return given if given and _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _method(scope: Scope) -> str:
    """Methods and routes are labels of metrics: whatever a caller makes up becomes one value."""
    return str(scope["method"]) if scope["method"] in _METHODS else "_OTHER"


def _route(scope: Scope, inner: MutableMapping[str, Any]) -> str:
    """The route's template; for what is mounted where it is mounted, which routing adds to root_path."""
    mounted = inner.get("root_path", "").removeprefix(scope.get("root_path", ""))
    return str(getattr(inner.get("route"), "path", None) or mounted or UNMATCHED)
