"""The single fields of an envelope: each check returns the good value or raises InvalidEvent that names the field."""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from errors import InvalidEvent
from schemas.events import ImageRef
from schemas.records import EARLIEST, LATEST

MAX_NAME_BYTES = 1024
MAX_URI_BYTES = 8 * 1024

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_RFC3339 = re.compile(r"[0-9]{4}(-[0-9]{2}){2}[Tt ]([0-9]{2}:){2}[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Draft:
    """What an envelope says by itself; where it says nothing, the record's coordinates and timestamp stand in."""

    image: bytes | ImageRef
    source: str | None = None
    id: str | None = None
    time: datetime | None = None
    sha256: str | None = None
    traceparent: str | None = None


def shown(value: object) -> str:
    """`value` short enough for a message: the beginning of a text, else what kind of JSON it is."""
    if isinstance(value, str | bytes):
        return repr(value[:80]) + ("..." if len(value) > 80 else "")
    if value is None:
        return "null"
    return "an object" if isinstance(value, dict) else "an array" if isinstance(value, list) else "a number or boolean"


def is_plain_name(value: object) -> bool:
    """Whether `value` is a name beyond doubt, as nearly all are; `checked_name` decides about the rest."""
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_BYTES and value.isascii() and value.isprintable()


def checked_name(field: str, value: object) -> str:
    """A source or an id: a string that is not empty, without control characters, of at most 1024 bytes in UTF-8."""
    if not isinstance(value, str):
        raise InvalidEvent(f"{field} must be a string, not {shown(value)}")
    if is_plain_name(value):
        return value
    if not value:
        raise InvalidEvent(f"{field} is empty")
    if _utf8_length(field, value) > MAX_NAME_BYTES:
        raise InvalidEvent(f"{field} is longer than {MAX_NAME_BYTES} bytes: {shown(value)}")
    if _CONTROL.search(value):
        raise InvalidEvent(f"{field} holds control characters: {shown(value)}")
    return value


def checked_sha256(field: str, value: object) -> str:
    """A SHA-256 as 64 hex digits of any case; returned in lower case."""
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise InvalidEvent(f"{field} must be 64 hex digits, not {shown(value)}")
    return value.lower()


def checked_uri(field: str, value: object) -> str:
    """Where an image is: a string with a scheme, without control characters, of at most 8 KiB."""
    if not isinstance(value, str):
        raise InvalidEvent(f"{field} must be a string, not {shown(value)}")
    if _utf8_length(field, value) > MAX_URI_BYTES:
        raise InvalidEvent(f"{field} is longer than {MAX_URI_BYTES} bytes")
    if not _SCHEME.match(value) or _CONTROL.search(value):
        raise InvalidEvent(f"{field} needs a scheme such as https: and no control characters: {shown(value)}")
    return value


def checked_time(field: str, value: object) -> datetime:
    """A time as RFC 3339 writes it, offset included; returned in UTC."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise InvalidEvent(f"{field} must be a time like 2025-06-01T12:00:00Z, not {shown(value)}")
    try:
        return checked_range(field, datetime.fromisoformat(value.upper()))
    except ValueError as error:
        raise InvalidEvent(f"{field} is no time that exists: {shown(value)}") from error


def checked_range(field: str, value: datetime) -> datetime:
    """`value` in UTC, where it has an offset and lies within the years 1 to 9999."""
    if value.tzinfo is None:
        raise InvalidEvent(f"{field} has no time zone: {value}")
    try:
        utc = value.astimezone(UTC)
    except OverflowError:
        utc = None
    if utc is None or not EARLIEST <= utc <= LATEST:
        raise InvalidEvent(f"{field} is outside the years 1 to 9999: {value}")
    return utc


def checked_base64(field: str, value: object) -> bytes:
    """Base64 of the standard alphabet with its padding; white space between the characters is accepted."""
    if not isinstance(value, str):
        raise InvalidEvent(f"{field} must be a string of base64, not {shown(value)}")
    if any(space in value for space in " \n\r\t"):
        value = "".join(value.split())
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        hint = " (leave out what stands before the comma)" if value.startswith("data:") else ""
        raise InvalidEvent(f"{field} is not base64{hint}: it begins with {value[:24]!r}") from error


def valid_traceparent(value: object) -> str | None:
    """A W3C traceparent, or None where it is malformed: the trace then starts anew and the event goes on."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        return None
    match = _TRACEPARENT.match(text.strip())
    if match is None:
        return None
    rest = text.strip()[match.end() :]
    return match.group() if not rest or (match.group(1) != "00" and rest.startswith("-")) else None


def is_sampled(traceparent: str) -> bool:
    """Whether whoever wrote this valid traceparent keeps its trace."""
    return bool(int(traceparent[53:55], 16) & 1)


def json_object(what: str, raw: bytes) -> dict[str, Any]:
    """`raw` as a JSON object in UTF-8; depth and length of numbers are bounded by the parser."""
    document = json_document(what, raw)
    if not isinstance(document, dict):
        raise InvalidEvent(f"{what} must be a JSON object, not {shown(document)}")
    return document


def json_document(what: str, raw: bytes) -> Any:
    """`raw` as any JSON document in UTF-8."""
    try:
        return from_json(raw.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        raise InvalidEvent(f"{what} is not JSON in UTF-8: {error}") from error


def picture(where: str, document: dict[str, Any]) -> tuple[bytes | ImageRef, str | None]:
    """Image and digest of `{image_base64 | image_uri, sha256?}`; a member that is null counts as absent."""
    inline, uri, sha256 = (document.get(name) for name in ("image_base64", "image_uri", "sha256"))
    digest = None if sha256 is None else checked_sha256(f"sha256 of {where}", sha256)
    if inline is not None and uri is not None:
        raise InvalidEvent(f"{where} has both image_base64 and image_uri: give one of them")
    if inline is not None:
        return checked_base64(f"image_base64 of {where}", inline), digest
    if uri is None:
        raise InvalidEvent(f"{where} has neither image_base64 nor image_uri: give one of them")
    return ImageRef(checked_uri(f"image_uri of {where}", uri), digest), digest


def _utf8_length(field: str, value: str) -> int:
    try:
        return len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidEvent(f"{field} cannot be written in UTF-8: {shown(value)}") from error
