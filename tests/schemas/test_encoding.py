"""What a producer sends: every form reads back as the event it was made from."""

import hashlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidEvent
from schemas.envelope import Form, decode_event, encode_event
from schemas.events import ImageEvent, ImageRef
from schemas.fields import valid_traceparent
from schemas.records import Record
from tests.schemas.records import AT, JPEG, PNG, TRACEPARENT

EVENT = ImageEvent("/camera", "e1", JPEG, datetime(2025, 6, 1, 12, tzinfo=UTC))
CLAIM = ImageEvent("/camera", "e1", ImageRef("s3://photos/cat.jpg"), EVENT.event_time)

names = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=200)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
times = st.datetimes(
    datetime(1, 1, 3),  # noqa: DTZ001  (hypothesis wants naive bounds)
    datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
)
traces = st.one_of(
    st.none(),
    st.builds(
        lambda trace, span, flags: f"00-{trace:032x}-{span:016x}-{flags:02x}",
        st.integers(1, 16**32 - 1),
        st.integers(1, 16**16 - 1),
        st.integers(0, 255),
    ),
)


@st.composite
def events(draw: st.DrawFn) -> ImageEvent:
    image: bytes | ImageRef
    if draw(st.booleans()):
        image = inline = draw(st.sampled_from([JPEG, PNG])) + draw(st.binary(max_size=200))
        sha256 = hashlib.sha256(inline).hexdigest() if draw(st.booleans()) else None
    else:
        sha256 = draw(st.none() | digests)
        image = ImageRef(f"https://example.org/{draw(names)}", sha256)
    return ImageEvent(draw(names), draw(names), image, draw(times), sha256, draw(traces))


def read_back(event: ImageEvent, form: Form) -> ImageEvent:
    message = encode_event(event, form)
    return decode_event(Record(AT, message.key, message.value, message.headers), "coordinates")


@given(events(), st.sampled_from(["binary", "structured"]))
def test_both_cloudevents_forms_carry_all_of_an_event(event: ImageEvent, form: Form) -> None:
    assert read_back(event, form) == event


@given(events())
def test_plain_json_carries_all_but_the_time(event: ImageEvent) -> None:
    again = read_back(event, "plain-json")
    assert again.event_time == AT.record_time
    assert (again.identity, again.image, again.sha256, again.traceparent) == (
        event.identity, event.image, event.sha256, event.traceparent,
    )  # fmt: skip


@given(events())
def test_a_plain_image_carries_the_bytes_and_the_trace(event: ImageEvent) -> None:
    if isinstance(event.image, ImageRef):
        with pytest.raises(InvalidEvent, match="plain-image carries bytes"):
            encode_event(event, "plain-image")
        return
    again = read_back(event, "plain-image")
    assert (again.image, again.traceparent) == (event.image, event.traceparent)


def test_the_default_is_binary_mode_under_the_id_as_key_without_a_copy_of_the_picture() -> None:
    message = encode_event(EVENT)
    assert (message.key, message.value) == (b"e1", JPEG)
    assert message.value is EVENT.image
    assert dict(message.headers) == {
        "ce_specversion": b"1.0",
        "ce_type": b"io.streamscorer.image",
        "ce_source": b"/camera",
        "ce_id": b"e1",
        "ce_time": b"2025-06-01T12:00:00Z",
        "content-type": b"image/jpeg",
    }


def test_a_picture_of_unknown_format_is_sent_as_bytes_of_no_type() -> None:
    strange = ImageEvent("/camera", "e1", b"II*\x00 a tiff", EVENT.event_time)
    assert dict(encode_event(strange).headers)["content-type"] == b"application/octet-stream"


@pytest.mark.parametrize("form", ["binary", "structured", "plain-json"])
@pytest.mark.parametrize(
    "broken",
    [
        ImageEvent("", "e1", JPEG, EVENT.event_time),
        ImageEvent("s", "a\0b", JPEG, EVENT.event_time),
        ImageEvent("s", "\ud800", JPEG, EVENT.event_time),
        ImageEvent("s", "e" * 1025, JPEG, EVENT.event_time),
        ImageEvent("s", "e1", b"", EVENT.event_time),
        ImageEvent("s", "e1", JPEG, EVENT.event_time.replace(tzinfo=None)),
        ImageEvent("s", "e1", JPEG, EVENT.event_time, sha256="0" * 64),
        ImageEvent("s", "e1", JPEG, EVENT.event_time, sha256="zz"),
        ImageEvent("s", "e1", ImageRef("cat.jpg"), EVENT.event_time),
    ],
)
def test_a_producer_cannot_send_what_a_consumer_would_refuse(form: Form, broken: ImageEvent) -> None:
    with pytest.raises(InvalidEvent):
        encode_event(broken, form)


def test_a_claim_check_travels_as_json_in_every_form_that_has_room_for_it() -> None:
    assert encode_event(CLAIM).value == b'{"image_uri":"s3://photos/cat.jpg"}'
    assert dict(encode_event(CLAIM).headers)["content-type"] == b"application/json"
    assert b'"data":{"image_uri":"s3://photos/cat.jpg"}' in encode_event(CLAIM, "structured").value
    assert valid_traceparent(TRACEPARENT) == TRACEPARENT
