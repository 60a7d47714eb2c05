"""What leaves on Kafka: the dead letter as a record, and the score as a CloudEvent."""

import hashlib

from errors import Invalid
from schemas.dead_letters import DELIVERY_COUNT, ERROR_CLASS, ORIGIN
from schemas.events import ImageEvent
from schemas.records import Headers, Record
from schemas.scores import Score


def delivery_count(record: Record) -> int:
    """How often the record was handed over: 1, and one more for each time it came back from the DLQ."""
    counts = [value for name, value in record.headers if name == DELIVERY_COUNT]
    # As long as a number of deliveries can be: Python refuses to read one of thousands of digits.
    return 1 + (int(counts[-1]) if counts and counts[-1].isdigit() and len(counts[-1]) < 10 else 0)


def dead_letter_headers(record: Record, refusal: Invalid, group_id: str) -> Headers:
    """The record's own headers, untouched, and behind them where it stood and why it was refused.

    A record that came back from the DLQ keeps its first origin: identity rests on it.
    """
    at = record.at
    ours = {
        "__dlq.errors.topic": at.topic,
        "__dlq.errors.partition": str(at.partition),
        "__dlq.errors.offset": str(at.offset),
        "__dlq.errors.group": group_id,
        "__dlq.errors.message": str(refusal),
        DELIVERY_COUNT: str(delivery_count(record)),
        ERROR_CLASS: refusal.reason,
    }
    theirs = tuple(header for header in record.headers if header[0] not in ours)
    if not any(name == ORIGIN for name, _ in theirs):
        ours[ORIGIN] = str(at)
    return (*theirs, *((name, value.encode()) for name, value in ours.items()))


def lighter_letters(record: Record) -> tuple[tuple[str, Record], ...]:
    """What may go out where the whole record is too large for the topic: what each lacks, and the rest of the record.

    What tells its origin and counts its deliveries always stays.
    """
    ours = tuple(header for header in record.headers if header[0] in (ORIGIN, DELIVERY_COUNT))
    return (
        ("value", Record(record.at, record.key, None, record.headers)),
        ("value, key and headers", Record(record.at, None, None, ours)),
    )


def score_headers(score: Score, event: ImageEvent) -> Headers:
    """CloudEvents binary mode; the id is the same however often the score is published."""
    name = f"{score.source}\n{score.event_id}\n{score.model_version}"
    headers = {
        "ce_specversion": "1.0",
        "ce_type": "io.streamscorer.score",
        "ce_source": f"/streamscorer/{score.model_version}",
        "ce_id": hashlib.sha256(name.encode()).hexdigest(),
        "ce_time": score.scored_at.isoformat(),
        "content-type": "application/json",
    }
    if event.traceparent:
        headers["traceparent"] = event.traceparent
    return tuple((name, value.encode()) for name, value in headers.items())
