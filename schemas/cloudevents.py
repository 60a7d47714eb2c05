"""CloudEvents 1.0 as the Kafka binding carries them: structured (one JSON document) and binary (ce_ headers)."""

from collections.abc import Mapping
from typing import Any

from errors import InvalidEvent
from schemas.events import ImageRef
from schemas.fields import (
    Draft,
    checked_base64,
    checked_name,
    checked_sha256,
    checked_time,
    is_plain_name,
    json_object,
    picture,
    shown,
    valid_traceparent,
)

STRUCTURED = "application/cloudevents+json"
SPEC_VERSION = "1.0"
REQUIRED = ("specversion", "id", "source", "type")


def is_json(media_type: str) -> bool:
    """Whether data of that type is a JSON document."""
    return media_type == "application/json" or media_type.endswith("+json")


def structured(value: bytes, media_type: str) -> Draft:
    """The whole event in one JSON document: `data_base64`, or `data: {image_uri | image_base64, sha256?}`."""
    if media_type != STRUCTURED:
        raise InvalidEvent(f"content-type is {shown(media_type)}: of structured CloudEvents only {STRUCTURED} is read")
    document = json_object("the CloudEvent", value)
    encoded, data = document.get("data_base64"), document.get("data")
    if (encoded is None) == (data is None):
        has = "neither data_base64 nor data" if data is None else "both data_base64 and data"
        raise InvalidEvent(f"the CloudEvent has {has}: give one of them")
    if encoded is not None:
        return _draft(document, "", checked_base64("data_base64", encoded))
    if not isinstance(data, dict):
        raise InvalidEvent(f"data of the CloudEvent must be an object with image_uri, not {shown(data)}")
    return _draft(document, "", *picture("data", data))


def binary(value: bytes, attributes: Mapping[str, bytes], media_type: str) -> Draft:
    """Attributes in `ce_` headers (given here without it); the value is the image, or JSON where its type says so."""
    try:
        texts = {name: raw.decode() for name, raw in attributes.items() if name in _READ}
    except UnicodeDecodeError:
        texts = {name: _text(name, raw) for name, raw in attributes.items() if name in _READ}
    if not is_json(media_type):
        return _draft(texts, "ce_", value)
    return _draft(texts, "ce_", *picture("the value", json_object("the value", value)))


_READ = frozenset({*REQUIRED, "time", "sha256", "traceparent"})


def _text(name: str, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidEvent(f"header ce_{name} is not UTF-8: {shown(raw)}") from error


def _draft(attributes: Mapping[str, Any], prefix: str, image: bytes | ImageRef, sha256: str | None = None) -> Draft:
    """Draft from the attributes; `prefix` is how they are spelt in messages. A null attribute counts as absent."""
    for name in REQUIRED:
        value = attributes.get(name)
        if value is None:
            raise InvalidEvent(f"{prefix}{name} is missing: a CloudEvent needs {', '.join(REQUIRED)}")
        if not is_plain_name(value):
            checked_name(f"{prefix}{name}", value)
    if attributes["specversion"] != SPEC_VERSION:
        raise InvalidEvent(f"{prefix}specversion is {shown(attributes['specversion'])}: only {SPEC_VERSION} is read")
    time, digest, traceparent = (attributes.get(name) for name in ("time", "sha256", "traceparent"))
    if sha256 is None and digest is not None:
        sha256 = checked_sha256(f"{prefix}sha256", digest)
        image = ImageRef(image.uri, sha256) if isinstance(image, ImageRef) else image
    return Draft(
        image=image,
        source=attributes["source"],
        id=attributes["id"],
        time=None if time is None else checked_time(f"{prefix}time", time),
        sha256=sha256,
        traceparent=None if traceparent is None else valid_traceparent(traceparent),
    )
