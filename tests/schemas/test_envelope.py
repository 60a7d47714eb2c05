"""Hop 2: which form a record is read in, what is wrong with it, and who the event is."""

import hashlib
import json
from datetime import UTC, datetime

import pytest

from errors import InvalidEvent
from schemas.envelope import decode_event
from schemas.events import ImageRef
from schemas.records import Coordinates, Record
from tests.schemas.records import AT, JPEG, PNG, TRACEPARENT, base64_of, binary, plain, record, structured

URI = "https://photos.example.org/cat.jpg"
SHA256 = hashlib.sha256(JPEG).hexdigest()
INLINE = base64_of(JPEG)


def test_each_form_carries_the_picture_and_its_identity() -> None:
    forms = {
        "structured inline": structured(data_base64=INLINE),
        "binary": binary(),
        "plain json": plain(id="e1", source="/camera", image_base64=INLINE),
    }
    for name, given in forms.items():
        event = decode_event(given, "coordinates")
        assert (event.image, event.identity) == (JPEG, ("/camera", "e1")), name
    assert decode_event(record(JPEG), "coordinates").image == JPEG


def test_each_form_but_the_plain_image_carries_a_claim_check() -> None:
    reference = {"image_uri": URI, "sha256": SHA256.upper()}
    forms = {
        "structured": structured(data=reference),
        "binary": binary(json.dumps(reference).encode(), content_type=b"application/json; charset=utf-8"),
        "plain json": plain(**reference),
    }
    for name, given in forms.items():
        event = decode_event(given, "coordinates")
        assert event.image == ImageRef(URI, SHA256), name
        assert event.sha256 == SHA256, name


def test_the_picture_is_not_copied_where_the_value_is_the_picture() -> None:
    for given in (binary(), record(JPEG)):
        assert decode_event(given, "coordinates").image is given.value


def test_the_first_rule_that_applies_decides_and_the_next_is_never_tried() -> None:
    both = (("content-type", b"application/cloudevents+json"), ("ce_id", b"other"))
    assert decode_event(record(structured(data_base64=INLINE).value, *both), "coordinates").id == "e1"
    with pytest.raises(InvalidEvent, match="not JSON"):  # 1 decided, though 3 would read it
        decode_event(record(JPEG, ("content-type", b"application/cloudevents+json")), "coordinates")
    with pytest.raises(InvalidEvent, match="ce_specversion is missing"):  # 2 decided, though 4 would read it
        decode_event(record(plain(id="e1", image_base64=INLINE).value, ("ce_x", b"")), "coordinates")
    as_json = record(PNG, ("content-type", b"application/json"))
    assert decode_event(as_json, "coordinates").image == PNG  # 3: the bytes decide, not the content type
    as_jpeg = record(plain(image_base64=INLINE).value, ("content-type", b"image/jpeg"))
    assert decode_event(as_jpeg, "coordinates").image == JPEG  # 4


def test_in_binary_mode_any_value_is_the_picture_for_the_core_to_judge() -> None:
    for value in (b"no picture at all", b"{}", b"\x00\x00\x00\x00\x07{}"):
        assert decode_event(binary(value), "coordinates").image == value


@pytest.mark.parametrize(
    "start",
    [
        b"\xff\xd8\xff", b"\x89PNG", b"GIF89a", b"GIF87a", b"BM6", b"RIFF\0\0\0\0WEBPVP8 ", b"II*\0", b"MM\0*",
        b"\0\0\0\x1cftypavif", b"\0\0\0\x18ftypheic", b"\0\0\0\x0cjP  ", b"8BPS", b"<svg xmlns", b"<?xml?><svg",
    ],
)  # fmt: skip
def test_a_value_that_begins_like_an_image_is_an_event_whether_or_not_we_can_decode_it(start: bytes) -> None:
    value = start + b"..."
    assert decode_event(record(value), "coordinates").image == value


REFUSED: dict[str, tuple[Record, str]] = {
    # values
    "no value": (record(None), "no value"),
    "empty value": (record(b""), "no value"),
    "empty value, binary": (binary(b""), "no value"),
    "text": (record(b"hello"), "neither an image nor JSON: it begins with 68 65 6c 6c 6f"),
    "riff that is no webp": (record(b"RIFF\0\0\0\0WAVEfmt "), "neither an image nor JSON"),
    "video": (record(b"\0\0\0\x20ftypisom\0\0"), "neither an image nor JSON"),
    "schema registry": (record(b"\0\0\0\0\x07" + b'{"id":"a"}'), r"schema-registry framing \(0x00, then schema id 7\)"),
    "utf-16": (record('{"id":"a"}'.encode("utf-16-le")), "not JSON in UTF-8"),
    "array": (record(b"[1]"), "must be a JSON object, not an array"),
    "deep": (record(b"[" * 100_000), "not JSON in UTF-8: recursion"),
    "deep object": (record(b'{"a":' * 100_000), "not JSON in UTF-8: recursion"),
    "long number": (record(b'{"id":' + b"1" * 10_000 + b"}"), "not JSON in UTF-8"),
    "cut off": (record(b'{"id":"a"'), "not JSON in UTF-8"),
    "lone surrogate": (record(b'{"id":"\\ud800","image_uri":"x:y"}'), "not JSON in UTF-8"),
    # pictures
    "neither": (plain(id="a"), "neither image_base64 nor image_uri"),
    "both": (plain(image_base64=INLINE, image_uri=URI), "both image_base64 and image_uri"),
    "empty inline": (plain(image_base64=""), "the image is empty"),
    "inline number": (plain(image_base64=1), "image_base64 of the value must be a string of base64, not a number"),
    "not base64": (plain(image_base64="@@@@"), "image_base64 of the value is not base64: it begins with '@@@@'"),
    "no padding": (plain(image_base64="abc"), "not base64"),
    "url-safe base64": (plain(image_base64="_-__"), "not base64"),
    "non-ascii base64": (plain(image_base64="äöüß"), "not base64"),
    "data url": (plain(image_base64="data:image/jpeg;base64," + INLINE), "leave out what stands before the comma"),
    "uri number": (plain(image_uri=7), "image_uri of the value must be a string"),
    "uri without scheme": (plain(image_uri="cat.jpg"), "image_uri of the value needs a scheme"),
    "uri with newline": (plain(image_uri="https://a\nb"), "no control characters"),
    "uri too long": (plain(image_uri="https://a/" + "b" * 8192), "longer than 8192 bytes"),
    "short sha256": (plain(image_base64=INLINE, sha256="abc"), "sha256 of the value must be 64 hex digits, not 'abc'"),
    "other sha256": (plain(image_base64=INLINE, sha256="0" * 64), "it was changed on its way"),
    "other sha256, binary": (binary(ce_sha256=b"0" * 64), "it was changed on its way"),
    # names
    "empty id": (plain(id="", image_base64=INLINE), "id is empty"),
    "number as id": (plain(id=7, image_base64=INLINE), "id must be a string, not a number"),
    "NUL in id": (plain(id="a\0b", image_base64=INLINE), "id holds control characters"),
    "newline in source": (plain(source="a\nb", image_base64=INLINE), "source holds control characters"),
    "long id": (plain(id="é" * 513, image_base64=INLINE), "id is longer than 1024 bytes"),
    "object as source": (plain(source={}, image_base64=INLINE), "source must be a string, not an object"),
    # binary mode
    "no specversion": (binary(ce_specversion=None), "ce_specversion is missing"),
    "no ce_id": (binary(ce_id=None), "ce_id is missing"),
    "no ce_source": (binary(ce_source=None), "ce_source is missing"),
    "no ce_type": (binary(ce_type=None), "ce_type is missing"),
    "empty ce_id": (binary(ce_id=b""), "ce_id is empty"),
    "empty ce_source": (binary(ce_source=b""), "ce_source is empty"),
    "specversion": (binary(ce_specversion=b"0.3"), "ce_specversion is '0.3': only 1.0 is read"),
    "latin-1 id": (binary(ce_id=b"caf\xe9"), "header ce_id is not UTF-8"),
    "ce_time": (binary(ce_time=b"yesterday"), "ce_time must be a time like .* not 'yesterday'"),
    "json that is none": (binary(b"\xff\xd8\xff", content_type=b"application/json"), "the value is not JSON"),
    "json without picture": (binary(b"{}", content_type=b"application/json"), "neither image_base64 nor image_uri"),
    # structured mode
    "no type": (structured(type=None, data_base64=INLINE), "type is missing"),
    "null id": (structured(id=None, data_base64=INLINE), "id is missing"),
    "number as structured id": (structured(id=7, data_base64=INLINE), "id must be a string, not a number"),
    "no data": (structured(), "neither data_base64 nor data"),
    "both data": (structured(data={"image_uri": URI}, data_base64=INLINE), "both data_base64 and data"),
    "data as text": (structured(data=INLINE), "data of the CloudEvent must be an object"),
    "data without picture": (structured(data={}), "data has neither image_base64 nor image_uri"),
    "broken data_base64": (structured(data_base64="@"), "data_base64 is not base64"),
    "avro event": (record(b"x", ("content-type", b"application/cloudevents+avro")), "is 'application/cloudevents"),
    "batch": (record(b"[]", ("content-type", b"application/cloudevents-batch+json")), "only application/cloudevents"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_envelope_is_refused_in_words_that_name_what_is_wrong(name: str) -> None:
    given, words = REFUSED[name]
    with pytest.raises(InvalidEvent, match=words) as refusal:
        decode_event(given, "coordinates")
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    "time",
    [
        "2025-06-01", "2025-06-01T12:00:00", "20250601T120000Z", "2025-W22-7T00:00:00Z", "2025-02-30T00:00:00Z",
        "2025-06-01T25:00:00Z", "2025-06-01T12:00:00+99:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
        "0000-01-01T00:00:00Z", "1748779200", "٢٠٢٥-06-01T12:00:00Z", "2025-06-01T12:00:00Z ",
    ],
)  # fmt: skip
def test_a_time_that_rfc_3339_does_not_know_is_refused(time: str) -> None:
    with pytest.raises(InvalidEvent, match="ce_time"):
        decode_event(binary(ce_time=time.encode()), "coordinates")


@pytest.mark.parametrize(
    "time",
    [
        "2025-06-01T12:00:00Z",
        "2025-06-01t12:00:00z",
        "2025-06-01T14:00:00.000+02:00",
        "2025-06-01 12:00:00.0000000001Z",
    ],
)
def test_the_time_of_the_event_is_the_producers(time: str) -> None:
    expected = datetime(2025, 6, 1, 12, tzinfo=UTC)
    assert decode_event(binary(ce_time=time.encode()), "coordinates").event_time == expected
    assert decode_event(structured(time=time, data_base64=INLINE), "coordinates").event_time == expected


def test_without_a_time_the_records_timestamp_stands_in() -> None:
    expected = datetime.fromtimestamp(1_750_000_000, UTC).replace(microsecond=123_000)
    assert decode_event(binary(), "coordinates").event_time == expected


@pytest.mark.parametrize("timestamp_ms", [2**63 - 1, -(2**63), 253_402_300_800_000])
def test_an_absurd_timestamp_is_refused_where_it_would_be_the_time(timestamp_ms: int) -> None:
    at = Coordinates("c1", "t", 0, 0, timestamp_ms)
    with pytest.raises(InvalidEvent, match=f"timestamp, {timestamp_ms} ms"):
        decode_event(record(JPEG, at=at), "coordinates")
    timed = Record(at, None, JPEG, binary(ce_time=b"2025-06-01T12:00:00Z").headers)
    assert decode_event(timed, "coordinates").event_time.year == 2025
    assert 1 <= at.record_time.year <= 9999  # a dead letter can be written


def test_what_the_envelope_does_not_say_of_its_identity_comes_from_the_coordinates() -> None:
    by_place = ("kafka:c1/image-events", "3:42:1750000000123")
    assert decode_event(record(JPEG), "coordinates").identity == by_place
    assert decode_event(plain(id=None, image_base64=INLINE), "coordinates").identity == by_place
    assert decode_event(plain(id="e1", image_base64=INLINE), "coordinates").identity == (by_place[0], "e1")
    assert decode_event(plain(source="s", image_base64=INLINE), "coordinates").identity == by_place


def test_with_the_sha256_fallback_the_content_is_the_id() -> None:
    assert decode_event(record(JPEG), "sha256").identity == ("kafka:c1/image-events", SHA256)
    assert decode_event(plain(image_base64=INLINE), "sha256").id == SHA256
    assert decode_event(plain(id="e1", image_base64=INLINE), "sha256").id == "e1"
    first, again, other = (plain(image_uri=uri) for uri in (URI, URI, URI + "?2"))
    ids = [decode_event(given, "sha256").id for given in (first, again, other)]
    assert ids[0] == ids[1] != ids[2]


def test_a_redriven_record_keeps_the_identity_of_the_place_it_first_stood_at() -> None:
    original = decode_event(record(JPEG), "coordinates")
    origin = ("streamscorer-origin", str(AT).encode())
    elsewhere = Coordinates("c1", "image-events", 0, 999, 1_760_000_000_000)
    assert decode_event(record(JPEG, origin, at=elsewhere), "coordinates").identity == original.identity
    named = Record(elsewhere, None, binary().value, (*binary().headers, origin))
    assert decode_event(named, "coordinates").identity == ("/camera", "e1")


@pytest.mark.parametrize("origin", [b"", b"c1/t/0/1", b"c1/t/zero/1/2", b"\xff/t/0/1/2", b"a/b/c/0/1/2", b"\0/t/0/1/2"])
def test_a_malformed_origin_is_refused_where_it_is_needed(origin: bytes) -> None:
    with pytest.raises(InvalidEvent):
        decode_event(record(JPEG, ("streamscorer-origin", origin)), "coordinates")


def test_the_traceparent_is_honoured_from_header_or_attribute_and_ignored_where_malformed() -> None:
    header = ("traceparent", TRACEPARENT.encode())
    other = TRACEPARENT.replace("4bf9", "0000")
    assert decode_event(record(JPEG, header), "coordinates").traceparent == TRACEPARENT
    assert decode_event(binary(ce_traceparent=TRACEPARENT.encode()), "coordinates").traceparent == TRACEPARENT
    assert decode_event(structured(traceparent=TRACEPARENT, data_base64=INLINE), "sha256").traceparent == TRACEPARENT
    two = binary(traceparent=TRACEPARENT.encode(), ce_traceparent=other.encode())
    assert decode_event(two, "coordinates").traceparent == TRACEPARENT
    later = "01" + TRACEPARENT[2:] + "-more"
    assert decode_event(record(JPEG, ("traceparent", later.encode())), "coordinates").traceparent == later[:55]
    for broken in (b"", b"\xff", b"00-00", TRACEPARENT.upper().encode(), b"ff" + TRACEPARENT[2:].encode(),
                   TRACEPARENT.encode() + b"-more", b"00-" + b"0" * 32 + TRACEPARENT[35:].encode()):  # fmt: skip
        assert decode_event(record(JPEG, ("traceparent", broken)), "coordinates").traceparent is None


def test_header_names_are_read_in_any_case_and_of_a_repeated_header_the_last_one_counts() -> None:
    shouted = tuple((name.upper(), text) for name, text in binary().headers)
    assert decode_event(record(JPEG, *shouted), "coordinates").identity == ("/camera", "e1")
    twice = Record(AT, None, JPEG, (*binary().headers, ("ce_id", b"e2")))
    assert decode_event(twice, "coordinates").id == "e2"
    odd = structured(data_base64=INLINE).value
    assert decode_event(record(odd, ("Content-Type", b" Application/CloudEvents+JSON ;x=y")), "sha256").id == "e1"


def test_headers_that_are_not_ours_may_hold_anything() -> None:
    for stranger in (("x-blob", b"\xff\xfe"), ("content-type", b"\xff"), ("", b"")):
        assert decode_event(record(JPEG, stranger), "coordinates").image == JPEG
    assert decode_event(binary(ce_anything=b"\xff"), "coordinates").id == "e1"


def test_wrapped_base64_a_byte_order_mark_and_members_of_others_are_accepted() -> None:
    wrapped = "\n".join(INLINE[at : at + 8] for at in range(0, len(INLINE), 8)) + "\r\n"
    assert decode_event(plain(image_base64=wrapped, colour="red", image_uri=None), "coordinates").image == JPEG
    value = plain(image_base64=INLINE).value
    assert value is not None
    assert decode_event(record(b"\xef\xbb\xbf \n\t" + value), "coordinates").image == JPEG
