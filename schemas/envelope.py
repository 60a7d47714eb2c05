"""Between a Kafka record and an image event, both ways: `decode_event` (hop 2) and `encode_event` (for producers)."""

import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from pydantic_core import to_json

from errors import InvalidEvent
from schemas.cloudevents import SPEC_VERSION, STRUCTURED, binary, structured
from schemas.digests import sha256_hex
from schemas.events import ImageEvent, ImageRef
from schemas.fields import (
    Draft,
    checked_name,
    checked_range,
    checked_sha256,
    checked_uri,
    json_object,
    picture,
    shown,
    valid_traceparent,
)
from schemas.image_formats import READ_BY_CORE, image_format
from schemas.records import EARLIEST, EPOCH, LATEST, Coordinates, Headers, Record

EVENT_TYPE = "io.streamscorer.image"
Form = Literal["binary", "structured", "plain-image", "plain-json"]

_JSON_START = re.compile(rb"(\xef\xbb\xbf)?[ \t\r\n]*[{\[]")


@dataclass(frozen=True, slots=True)
class Encoded:
    """What goes to Kafka for one event."""

    key: bytes | None
    value: bytes
    headers: Headers


def decode_event(record: Record, id_fallback: Literal["coordinates", "sha256"]) -> ImageEvent:
    """The image event in `record`. Raises InvalidEvent and nothing else.

    The first rule that applies decides, and what it then finds wrong is an error, never a reason to try the next:

    1. content-type application/cloudevents...: a structured CloudEvent
    2. any ce_ header: a CloudEvent in binary mode
    3. a value that begins like an image: the image itself
    4. anything else: plain JSON

    Header names are read in any case; of a repeated header the last one counts, as in Kafka's own clients.
    The image is not copied where the value is the image.
    """
    value = record.value
    if not value:
        raise InvalidEvent("the record has no value: nothing to score")
    headers = {name.lower(): raw for name, raw in record.headers}
    media_type = _media_type(headers.get("content-type"))
    attributes = {name[3:]: raw for name, raw in headers.items() if name.startswith("ce_")}
    if media_type.startswith("application/cloudevents"):  # 1
        draft = structured(value, media_type)
    elif attributes:  # 2
        draft = binary(value, attributes, media_type)
    elif image_format(value):  # 3
        draft = Draft(value)
    else:  # 4
        draft = _plain_json(value)
    if not draft.image:
        raise InvalidEvent("the image is empty: nothing to score")
    if draft.sha256 is not None and isinstance(draft.image, bytes):
        _check_digest(draft.image, draft.sha256)
    source, event_id = _identity(draft, record.at, headers.get("streamscorer-origin"), id_fallback)
    traceparent = headers.get("traceparent")
    return ImageEvent(
        source=source,
        id=event_id,
        image=draft.image,
        event_time=draft.time or _record_time(record.at),
        sha256=draft.sha256,
        traceparent=(traceparent and valid_traceparent(traceparent)) or draft.traceparent,
    )


def encode_event(event: ImageEvent, form: Form = "binary") -> Encoded:
    """`event` in one of the forms that decode_event reads, under its id as key. Raises InvalidEvent.

    Both CloudEvents forms carry all of it; plain-json neither time nor, for an image_uri, anything but the digest;
    plain-image only the bytes. The traceparent is a header in every form.
    """
    _check(event)
    headers: list[tuple[str, bytes]] = []
    if form == "plain-image":
        if isinstance(event.image, ImageRef):
            raise InvalidEvent("the form plain-image carries bytes, not an image_uri")
        value = event.image
    elif form == "plain-json":
        value = to_json({"id": event.id, "source": event.source, **_picture(event)})
    elif form == "structured":
        value = to_json({**_attributes(event), **_structured_data(event)})
        headers.append(("content-type", STRUCTURED.encode()))
    else:
        inline = event.image if isinstance(event.image, bytes) else None
        value = to_json(_picture(event)) if inline is None else inline
        headers += [(f"ce_{name}", text.encode()) for name, text in _attributes(event).items()]
        headers.append(("content-type", b"application/json" if inline is None else _content_type(inline)))
    if event.traceparent is not None:
        headers.append(("traceparent", event.traceparent.encode()))
    return Encoded(event.id.encode(), value, tuple(headers))


@lru_cache(maxsize=64)
def _media_type(raw: bytes | None) -> str:
    """Media type without its parameters; garbage in it decides nothing, so it is no error."""
    return (raw or b"").decode("latin-1").partition(";")[0].strip().lower()


def _plain_json(value: bytes) -> Draft:
    if not _JSON_START.match(value):
        raise InvalidEvent(f"the value is neither an image nor JSON: {_first_bytes(value)}")
    document = json_object("the value", value)
    source, event_id = document.get("source"), document.get("id")
    image, sha256 = picture("the value", document)
    return Draft(
        image=image,
        source=None if source is None else checked_name("source", source),
        id=None if event_id is None else checked_name("id", event_id),
        sha256=sha256,
    )


def _first_bytes(value: bytes) -> str:
    if value[0] == 0 and len(value) > 5:
        schema = int.from_bytes(value[1:5], "big")
        return (
            f"it begins like schema-registry framing (0x00, then schema id {schema}); "
            "publish without the registry's serializer"
        )
    return f"it begins with {value[:8].hex(' ')} ({value[:8]!r})"


def _check_digest(image: bytes, sha256: str) -> None:
    actual = sha256_hex(image)
    if actual != sha256:
        raise InvalidEvent(f"sha256 says {sha256} and the image has {actual}: it was changed on its way")


def _identity(
    draft: Draft, at: Coordinates, origin: bytes | None, id_fallback: Literal["coordinates", "sha256"]
) -> tuple[str, str]:
    """(source, id); what the envelope leaves out comes from where the record stands, or stood before a redrive."""
    if draft.source is not None and draft.id is not None:
        return draft.source, draft.id
    if origin is not None:
        try:
            at = Coordinates.parse(origin.decode())
        except ValueError as error:
            raise InvalidEvent(f"header streamscorer-origin is malformed: {shown(origin)}") from error
    # Without an id also the source is Kafka's: positions are unique within a topic, not within a producer's source.
    source = checked_name("the record's source", f"kafka:{at.cluster}/{at.topic}")
    if draft.id is not None:
        return source, draft.id
    if id_fallback == "sha256":
        return source, ImageEvent(source, "", draft.image, EPOCH, draft.sha256).digest()
    return source, f"{at.partition}:{at.offset}:{at.timestamp_ms}"


def _record_time(at: Coordinates) -> datetime:
    time = at.record_time
    if not EARLIEST < time < LATEST:
        raise InvalidEvent(f"the record's timestamp, {at.timestamp_ms} ms, is outside the years 1 to 9999")
    return time


def _check(event: ImageEvent) -> None:
    """Refuse to publish what decode_event would refuse to read."""
    checked_name("source", event.source)
    checked_name("id", event.id)
    checked_range("event_time", event.event_time)
    if isinstance(event.image, ImageRef):
        checked_uri("image_uri", event.image.uri)
    elif not event.image:
        raise InvalidEvent("the image is empty: nothing to score")
    if event.sha256 is not None:
        sha256 = checked_sha256("sha256", event.sha256)
        if isinstance(event.image, bytes):
            _check_digest(event.image, sha256)


def _attributes(event: ImageEvent) -> dict[str, str]:
    attributes = {
        "specversion": SPEC_VERSION,
        "type": EVENT_TYPE,
        "source": event.source,
        "id": event.id,
        "time": event.event_time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    }
    return attributes if event.sha256 is None else {**attributes, "sha256": event.sha256}


def _picture(event: ImageEvent) -> dict[str, str]:
    if isinstance(event.image, ImageRef):
        where, sha256 = {"image_uri": event.image.uri}, event.image.sha256 or event.sha256
    else:
        where, sha256 = {"image_base64": b64encode(event.image).decode("ascii")}, event.sha256
    return where if sha256 is None else {**where, "sha256": sha256}


def _structured_data(event: ImageEvent) -> dict[str, object]:
    if isinstance(event.image, ImageRef):
        return {"datacontenttype": "application/json", "data": _picture(event)}
    data = b64encode(event.image).decode("ascii")
    return {"datacontenttype": _content_type(event.image).decode("ascii"), "data_base64": data}


def _content_type(image: bytes) -> bytes:
    name = image_format(image)
    return f"image/{name}".encode() if name in READ_BY_CORE else b"application/octet-stream"
