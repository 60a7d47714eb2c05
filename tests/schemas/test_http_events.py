"""CloudEvents that arrive over HTTP leave for Kafka as the same events."""

import json

import pytest

from errors import InvalidEvent
from schemas.events import ImageRef
from schemas.http_events import from_http, is_cloudevent
from tests.schemas.records import JPEG, TRACEPARENT, base64_of

BINARY = {"ce-specversion": "1.0", "Ce-Id": "e1", "CE-SOURCE": "/camera", "ce-type": "t", "Content-Type": "image/jpeg"}
EVENT = {"specversion": "1.0", "id": "e1", "source": "/camera", "type": "t", "data_base64": base64_of(JPEG)}


def test_a_binary_request_becomes_a_binary_record_with_all_its_attributes() -> None:
    [found] = from_http({**BINARY, "ce-mine": "kept", "traceparent": TRACEPARENT, "Accept": "*/*"}, JPEG)
    assert (found.event.identity, found.event.image) == (("/camera", "e1"), JPEG)
    assert (found.message.key, found.message.value) == (b"e1", JPEG)
    assert dict(found.message.headers) == {
        "ce_specversion": b"1.0", "ce_id": b"e1", "ce_source": b"/camera", "ce_type": b"t", "ce_mine": b"kept",
        "content-type": b"image/jpeg", "traceparent": TRACEPARENT.encode(),
    }  # fmt: skip


def test_a_claim_check_in_a_binary_request_is_read_as_one() -> None:
    [found] = from_http({**BINARY, "Content-Type": "application/json"}, b'{"image_uri": "s3://photos/cat.jpg"}')
    assert found.event.image == ImageRef("s3://photos/cat.jpg")


@pytest.mark.parametrize(
    ("written", "meant"), [("caf%C3%A9", "café"), ('"a \\"b\\""', 'a "b"'), ("100%", "100%"), ('"', '"')]
)
def test_attributes_are_unquoted_and_percent_decoded(written: str, meant: str) -> None:
    [found] = from_http({**BINARY, "Ce-Id": written}, JPEG)
    assert found.event.id == meant
    assert dict(found.message.headers)["ce_id"] == meant.encode()


def test_a_structured_request_goes_on_as_it_is() -> None:
    body = json.dumps({**EVENT, "mine": {"kept": True}}).encode()
    [found] = from_http({"content-type": "application/cloudevents+json; charset=UTF-8"}, body)
    assert (found.event.identity, found.event.image) == (("/camera", "e1"), JPEG)
    assert found.message.value is body


def test_a_batch_becomes_one_structured_record_an_event() -> None:
    events = [{**EVENT, "id": f"e{number}", "mine": number} for number in range(3)]
    found = from_http({"Content-Type": "application/cloudevents-batch+json"}, json.dumps(events).encode())
    assert [each.event.id for each in found] == ["e0", "e1", "e2"]
    assert [json.loads(each.message.value) for each in found] == events
    assert found[0].message.headers == (("content-type", b"application/cloudevents+json"),)
    assert from_http({"Content-Type": "application/cloudevents-batch+json"}, b"[]") == []


@pytest.mark.parametrize(
    ("headers", "body", "words"),
    [
        ({}, JPEG, "no CloudEvent"),
        ({**BINARY, "Ce-Id": ""}, JPEG, "ce_id is empty"),
        ({**BINARY, "Ce-Id": "%FF"}, JPEG, "header ce-id is not percent-encoded UTF-8"),
        (BINARY, b"", "no value"),
        ({"content-type": "application/cloudevents+json"}, b"{}", "specversion|data_base64"),
        ({"content-type": "application/cloudevents+protobuf"}, b"x", "only application/cloudevents.json is read"),
        ({"content-type": "application/cloudevents-batch+json"}, b"{}", "must be a JSON array"),
        (
            {"content-type": "application/cloudevents-batch+json"},
            json.dumps([EVENT, {**EVENT, "id": ""}]).encode(),
            "event 2 of the batch: id is empty",
        ),
    ],
)  # fmt: skip
def test_a_request_that_the_consumer_would_refuse_is_refused_at_once(
    headers: dict[str, str], body: bytes, words: str
) -> None:
    with pytest.raises(InvalidEvent, match=words):
        from_http(headers, body)


def test_only_requests_that_claim_to_be_cloudevents_are_taken_for_them() -> None:
    assert is_cloudevent({"CE-id": "1"})
    assert is_cloudevent({"Content-Type": "application/cloudevents+json"})
    assert not is_cloudevent({"Content-Type": "application/json", "accept": "application/cloudevents+json"})
