"""CloudEvents over HTTP (binary, structured, batched) turned into the Kafka messages that carry the same events."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from pydantic_core import to_json

from errors import InvalidEvent
from schemas.cloudevents import STRUCTURED
from schemas.envelope import Encoded, decode_event
from schemas.events import ImageEvent
from schemas.fields import json_document, shown
from schemas.records import Coordinates, Headers, Record

BATCHED = "application/cloudevents-batch+json"


@dataclass(frozen=True, slots=True)
class HttpEvent:
    """One event of a request: what it says, and the Kafka message that says the same, extension attributes included."""

    event: ImageEvent
    message: Encoded


def is_cloudevent(headers: Mapping[str, str]) -> bool:
    """Whether the request claims to carry CloudEvents. Header names in any case."""
    return any(
        name.lower().startswith("ce-") or (name.lower() == "content-type" and _is_whole_event(text))
        for name, text in headers.items()
    )


def from_http(headers: Mapping[str, str], body: bytes) -> list[HttpEvent]:
    """The events of a request, each as the consumer will read it; a batch may hold none.

    Raises InvalidEvent when any of them is one that the consumer would refuse: nothing of the request is to be
    published then. An event without a time has that of the call, until Kafka gives its record a timestamp.
    """
    lower = {name.lower(): text for name, text in headers.items()}
    content_type = lower.get("content-type", "")
    typed, trace = _passed_on(lower, "content-type"), _passed_on(lower, "traceparent")
    if content_type.partition(";")[0].strip().lower() == BATCHED:
        as_structured = (("content-type", STRUCTURED.encode()), *trace)
        return [_in_batch(number, element, as_structured) for number, element in enumerate(_elements(body), start=1)]
    if _is_whole_event(content_type):
        return [_event(body, (*typed, *trace))]
    attributes = tuple(
        (f"ce_{name[3:]}", _header_text(name, text)) for name, text in lower.items() if name.startswith("ce-")
    )
    if not attributes:
        raise InvalidEvent(f"no CloudEvent: neither a ce- header nor content-type {STRUCTURED}")
    return [_event(body, (*attributes, *typed, *trace))]


def _passed_on(headers: Mapping[str, str], name: str) -> Headers:
    text = headers.get(name)
    return ((name, text.encode("latin-1", "replace")),) if text else ()


def _is_whole_event(content_type: str) -> bool:
    return content_type.strip().lower().startswith("application/cloudevents")


def _elements(body: bytes) -> list[object]:
    document = json_document("the batch", body)
    if not isinstance(document, list):
        raise InvalidEvent(f"the batch must be a JSON array of CloudEvents, not {shown(document)}")
    return document


def _in_batch(number: int, element: object, headers: Headers) -> HttpEvent:
    try:
        return _event(to_json(element), headers)
    except InvalidEvent as error:
        raise InvalidEvent(f"event {number} of the batch: {error}") from error


def _event(value: bytes, headers: Headers) -> HttpEvent:
    nowhere = Coordinates("http", "http", 0, 0, time.time_ns() // 1_000_000)
    event = decode_event(Record(nowhere, None, value, headers), "coordinates")
    return HttpEvent(event, Encoded(event.id.encode(), value, headers))


def _header_text(name: str, text: str) -> bytes:
    """An attribute as the HTTP binding writes it: perhaps quoted, and percent-encoded UTF-8 within."""
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    try:
        return unquote(text, errors="strict").encode()
    except UnicodeError as error:
        raise InvalidEvent(f"header {name} is not percent-encoded UTF-8: {shown(text)}") from error
