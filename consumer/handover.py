"""What the hops hand over for a record: the question to the store, its rows, and the score as it is published."""

from datetime import UTC, datetime

from consumer.items import Item
from consumer.outgoing import delivery_count
from errors import Conflict
from schemas.dead_letters import ORIGIN, DeadLetter
from schemas.records import Coordinates, Record
from schemas.scores import KafkaPosition, Score
from store.decisions import Asked, NewScore


def asked(item: Item) -> Asked:
    """The question to the store whether it is decided."""
    if item.event is None:
        return Asked(item.record.at, None, None, None)
    return Asked(item.record.at, item.event.source, item.event.id, item.digest)


def conflict(item: Item) -> Conflict:
    """Why it is refused where its identity belongs to another content."""
    assert item.event is not None
    return Conflict(
        f"source {item.event.source!r} id {item.event.id!r} was scored before with another content "
        f"(this one has digest {item.digest}); give a new picture a new id"
    )


def new_score(item: Item) -> NewScore:
    """Its row, where it was scored."""
    assert item.event is not None
    assert item.digest is not None
    assert item.prediction is not None
    return NewScore(item.record.at, item.event, item.digest, item.prediction)


def dead_letter(item: Item) -> DeadLetter:
    """Its row, where it was refused."""
    assert item.refusal is not None
    return DeadLetter(
        record=item.record,
        reason=item.refusal.reason,
        message=str(item.refusal),
        source=item.event.source if item.event else None,
        event_id=item.event.id if item.event else None,
        delivery_count=delivery_count(item.record),
        digest=item.digest,
        published=item.dead_letter_at,
        origin=_origin(item.record),
    )


def _origin(record: Record) -> str | None:
    """Where a record stood first that was sent back. A header that nobody of us wrote names nothing."""
    named = [value for name, value in record.headers if name == ORIGIN]
    try:
        return str(Coordinates.parse(named[-1].decode())) if named else None
    except ValueError:
        return None


def score(item: Item) -> Score:
    """The score as it is published. Its time is that of the publishing: the row does not exist yet."""
    assert item.event is not None
    assert item.prediction is not None
    at = item.record.at
    return Score(
        **item.prediction.model_dump(exclude={"cached", "timings_ms"}),
        source=item.event.source,
        event_id=item.event.id,
        event_time=item.event.event_time,
        scored_at=datetime.now(UTC),
        kafka=KafkaPosition(topic=at.topic, partition=at.partition, offset=at.offset),
        traceparent=item.event.traceparent,
    )
