"""Dead letters and published scores as records."""

from consumer.outgoing import dead_letter_headers, delivery_count
from errors import InvalidImage
from schemas.records import Coordinates, Record

AT = Coordinates("c1", "image-events", 3, 41, 1_700_000_000_000)


def test_a_dead_letter_keeps_every_header_and_adds_where_and_why() -> None:
    theirs = (("ce_id", b"7"), ("trace", b"\xff\x00"), ("trace", b"again"))
    headers = dead_letter_headers(Record(AT, b"k", b"v", theirs), InvalidImage("truncated"), "streamscorer")
    assert headers[:3] == theirs
    added = dict(headers[3:])
    assert added == {
        "__dlq.errors.topic": b"image-events",
        "__dlq.errors.partition": b"3",
        "__dlq.errors.offset": b"41",
        "__dlq.errors.group": b"streamscorer",
        "__dlq.errors.message": b"truncated",
        "__dlq.delivery.count": b"1",
        "streamscorer-error-class": b"InvalidImage",
        "streamscorer-origin": b"c1/image-events/3/41/1700000000000",
    }


def test_a_record_that_came_back_keeps_its_first_origin_and_counts_on() -> None:
    first = Record(AT, None, b"v", ())
    again = Record(
        Coordinates("c1", "image-events", 0, 99, 1), None, b"v",
        dead_letter_headers(first, InvalidImage("truncated"), "g"),
    )  # fmt: skip
    assert delivery_count(again) == 2
    headers = dead_letter_headers(again, InvalidImage("still truncated"), "g")
    assert [value for name, value in headers if name == "streamscorer-origin"] == [str(AT).encode()]
    assert [value for name, value in headers if name == "__dlq.errors.message"] == [b"still truncated"]
    assert [value for name, value in headers if name == "__dlq.errors.offset"] == [b"99"]
