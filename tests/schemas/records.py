"""Records and pictures for the tests of the envelope."""

import base64
import json

from schemas.records import Coordinates, Headers, Record

JPEG = b"\xff\xd8\xff\xe0" + b"not a whole picture"
PNG = b"\x89PNG\r\n\x1a\n" + b"not a whole picture"
AT = Coordinates(cluster="c1", topic="image-events", partition=3, offset=42, timestamp_ms=1_750_000_000_123)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def record(value: bytes | None, *headers: tuple[str, bytes], at: Coordinates = AT) -> Record:
    return Record(at, b"some key", value, headers)


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def plain(**members: object) -> Record:
    """A record with plain JSON."""
    return record(json.dumps(members).encode())


def binary(value: bytes = JPEG, /, **changed: bytes | None) -> Record:
    """A CloudEvent in binary mode; `changed` sets headers by name (_ for - in content_type), None leaves one out."""
    given: dict[str, bytes | None] = {
        "ce_specversion": b"1.0", "ce_id": b"e1", "ce_source": b"/camera", "ce_type": b"t", **changed,
    }  # fmt: skip
    headers: Headers = tuple((name, text) for name, text in given.items() if text is not None)
    return record(value, *(("content-type" if name == "content_type" else name, text) for name, text in headers))


def structured(**changed: object) -> Record:
    """A structured CloudEvent; `changed` sets members, None leaves one out."""
    members = {"specversion": "1.0", "id": "e1", "source": "/camera", "type": "t", **changed}
    value = json.dumps({name: member for name, member in members.items() if member is not None}).encode()
    return record(value, ("content-type", b"application/cloudevents+json; charset=utf-8"))
