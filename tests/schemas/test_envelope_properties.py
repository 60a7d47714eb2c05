"""Whatever a topic or a request carries, decoding ends in an event or in InvalidEvent."""

import json
from typing import Literal

from hypothesis import example, given
from hypothesis import strategies as st

from errors import InvalidEvent
from schemas.envelope import decode_event
from schemas.http_events import from_http, is_cloudevent
from schemas.records import Coordinates, Record
from tests.schemas.records import JPEG, PNG

SOUND = {"specversion": "1.0", "id": "e1", "source": "/camera", "type": "t", "data_base64": "/9j/4A=="}
MEMBERS = [*SOUND, "time", "sha256", "traceparent", "data", "image_base64", "image_uri"]
HEADERS = [*(f"ce_{name}" for name in MEMBERS), "CE_ID", "content-type", "traceparent", "streamscorer-origin"]
LIKELY = ["1.0", "x:y", "/9j/", "a" * 64, "2025-06-01T12:00:00Z", "0001-01-01T00:00:00+10:00", "c/t/0/1/-9", "", "\0"]
TYPES = ["application/json", "application/cloudevents+json", "application/cloudevents-batch+json", "image/png"]
STARTS = [JPEG, PNG, b"\0\0\0\0\1{", b"{", b"["]

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(LIKELY)
members = st.dictionaries(st.sampled_from(MEMBERS), leaves, max_size=4)
documents = st.builds(
    lambda sound, changed, data: {**sound, **changed, **data},
    st.sampled_from([{}, SOUND]),
    members,
    st.just({}) | st.fixed_dictionaries({"data": members | st.lists(leaves, max_size=3)}),
)
values = st.one_of(
    st.none(),
    st.binary(max_size=64),
    st.builds(lambda start, rest: start + rest, st.sampled_from(STARTS), st.binary(max_size=9)),
    documents.map(lambda document: json.dumps(document).encode()),
    st.lists(documents, max_size=3).map(lambda batch: json.dumps(batch).encode()),
)
header_texts = st.binary(max_size=20) | st.sampled_from([text.encode() for text in LIKELY + TYPES])
sound_headers = tuple((f"ce_{name}", text.encode()) for name, text in SOUND.items())
coordinates = st.builds(
    Coordinates,
    st.text(max_size=5),
    st.text(max_size=5),
    st.integers(0, 9),
    st.integers(0, 2**63),
    st.integers(-(2**63), 2**63 - 1),
)
records = st.builds(
    lambda at, value, sound, changed: Record(at, None, value, (*sound, *changed)),
    coordinates,
    values,
    st.sampled_from([(), sound_headers]),
    st.lists(st.tuples(st.text(max_size=8) | st.sampled_from(HEADERS), header_texts), max_size=4),
)


@given(records, st.sampled_from(["coordinates", "sha256"]))
def test_a_record_ends_in_a_storable_event_or_in_invalid_event(
    record: Record, id_fallback: Literal["coordinates", "sha256"]
) -> None:
    try:
        event = decode_event(record, id_fallback)
    except InvalidEvent as refusal:
        words = str(refusal)
    else:
        words = "fine"
        assert event.image
        assert event.event_time.utcoffset() is not None
        assert len(event.digest()) == 64
        for name in event.identity:
            assert 1 <= len(name.encode()) <= 1024
            assert "\0" not in name
    assert 0 < len(words.encode()) < 1000  # a message can be stored and sent
    assert "\0" not in words


@given(
    st.sampled_from([{}, {f"ce-{name}": text for name, text in SOUND.items()}]),
    st.dictionaries(
        st.sampled_from(["Content-Type", "ce-id", "CE-Type", "ce-time", "traceparent"]),
        st.text(max_size=12) | st.sampled_from(LIKELY + TYPES),
    ),
    values,
)
@example({"ce-id": "\ud800"}, {"traceparent": "\ud800"}, JPEG)
def test_a_request_ends_in_messages_that_read_back_or_in_invalid_event(
    sound: dict[str, str], changed: dict[str, str], body: bytes | None
) -> None:
    headers = {**sound, **changed}
    try:
        found = from_http(headers, body or b"")
    except InvalidEvent:
        return
    assert is_cloudevent(headers)
    for each in found:
        message = each.message
        read = decode_event(Record(Coordinates("c", "t", 0, 0, 0), None, message.value, message.headers), "coordinates")
        assert (read.identity, read.image) == (each.event.identity, each.event.image)
