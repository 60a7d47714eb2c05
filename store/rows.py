"""Rows and models, in both directions: the one place that knows which column holds what."""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.dead_letters import DeadLetter, StoredDeadLetter
from schemas.predictions import ClassProbability, ImageInfo, ModelInfo
from schemas.records import Coordinates
from schemas.scores import KafkaPosition, Score
from store import texts
from store.decisions import Asked, NewScore

VALUE_BYTES = 256 * 1024
"""A larger value of a dead letter stays in the DLQ topic alone."""
_MOST_DELIVERIES = 2**31 - 1
"""A producer may write any number into the header that counts them."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A day inside of what both sides can hold: a time that cannot be read back would break every page it is on.
_EARLIEST, _LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)

Row = Mapping[str, Any]


def record_time(at: Coordinates) -> datetime:
    """The record's timestamp; one beyond what a calendar holds (producers may write any 64 bits) at its edge."""
    try:
        return _within(_EPOCH + timedelta(milliseconds=at.timestamp_ms))
    except OverflowError:
        return _LATEST if at.timestamp_ms > 0 else _EARLIEST


def identity(source: str, event_id: str, model_version: str) -> tuple[str, str, str]:
    """The primary key of a score."""
    return texts.key(source), texts.key(event_id), model_version


def asked_columns(asked: Sequence[Asked], model_versions: Sequence[str]) -> dict[str, list[Any]]:
    """Arrays for `queries.DECIDE`, one entry a record."""
    return {
        **_coordinate_columns([one.at for one in asked]),
        "source": [None if one.source is None else texts.key(one.source) for one in asked],
        "event_id": [None if one.event_id is None else texts.key(one.event_id) for one in asked],
        "digest": [one.digest for one in asked],
        "model_version": list(model_versions),
    }


def score_columns(scores: Sequence[NewScore]) -> dict[str, list[Any]]:
    """Arrays for `queries.INSERT_SCORES`, one entry a score."""
    events, answers = [one.event for one in scores], [one.prediction for one in scores]
    return {
        **_coordinate_columns([one.at for one in scores]),
        "source": [texts.key(event.source) for event in events],
        "event_id": [texts.key(event.id) for event in events],
        "digest": [one.digest for one in scores],
        "model_version": [answer.model_version for answer in answers],
        "event_time": [_within(event.event_time) for event in events],
        "traceparent": [event.traceparent and texts.shortened(event.traceparent, 200) for event in events],
        "predicted_class": [answer.predicted_class for answer in answers],
        "label": [texts.shortened(answer.label, texts.LABEL_CHARS) for answer in answers],
        "probability": [answer.probability for answer in answers],
        "top": [_top(answer.top) for answer in answers],
        "sha256": [answer.image.sha256 for answer in answers],
        "format": [answer.image.format for answer in answers],
        "width": [answer.image.width for answer in answers],
        "height": [answer.image.height for answer in answers],
        "bytes": [answer.image.bytes for answer in answers],
        "engine": [answer.engine for answer in answers],
        "precision": [answer.precision for answer in answers],
    }


def dead_letter_row(letter: DeadLetter, model_version: str | None) -> dict[str, Any]:
    """Parameters of `queries.INSERT_DEAD_LETTER`."""
    record = letter.record
    at, value, published = record.at, record.value, letter.published
    return {
        "cluster": at.cluster,
        "topic": at.topic,
        "partition": at.partition,
        "offset": at.offset,
        "record_time": record_time(at),
        "reason": texts.shortened(letter.reason, 100),
        "message": texts.shortened(letter.message, texts.MESSAGE_CHARS),
        "key": record.key,
        "value": value if value is not None and len(value) <= VALUE_BYTES else None,
        "value_size": None if value is None else len(value),
        "headers": json.dumps(
            [[texts.storable(name), base64.b64encode(content).decode()] for name, content in record.headers]
        ),
        "source": None if letter.source is None else texts.key(letter.source),
        "event_id": None if letter.event_id is None else texts.key(letter.event_id),
        "digest": letter.digest,
        "delivery_count": min(letter.delivery_count, _MOST_DELIVERIES),
        "dlq_topic": published and published.topic,
        "dlq_partition": published and published.partition,
        "dlq_offset": published and published.offset,
        "origin": None if letter.origin is None else texts.key(letter.origin),
        "model_version": model_version,
    }


def model_row(info: ModelInfo) -> dict[str, Any]:
    """Parameters of `queries.INSERT_MODEL`."""
    return {
        "model_version": info.model_version,
        "name": info.name,
        "weights": texts.shortened(info.weights, 1000),
        "weights_sha256": info.weights_sha256,
        "preprocessing": texts.storable(info.preprocessing),
        "labels": json.dumps([texts.storable(label) for label in info.labels]),
        "untrained": info.untrained,
    }


def score_of(row: Row) -> Score:
    """The stored answer of one row of `scores`."""
    return Score(
        source=row["source"],
        event_id=row["event_id"],
        event_time=row["event_time"],
        scored_at=row["scored_at"],
        kafka=KafkaPosition(topic=row["kafka_topic"], partition=row["kafka_partition"], offset=row["kafka_offset"]),
        traceparent=row["traceparent"],
        predicted_class=row["predicted_class"],
        label=row["label"],
        probability=row["probability"],
        top=tuple(ClassProbability(**one) for one in row["top"]),
        model_version=row["model_version"],
        engine=row["engine"],
        precision=row["precision"],
        image=ImageInfo(
            sha256=row["sha256"], format=row["format"], width=row["width"], height=row["height"], bytes=row["bytes"]
        ),
    )


def dead_letter_of(row: Row) -> StoredDeadLetter:
    """One row of `dead_letters`, without its value."""
    stands = row["dlq_topic"] is not None
    return StoredDeadLetter(
        **{name: row[name] for name in StoredDeadLetter.model_fields if name not in ("headers", "dlq")},
        headers=tuple((name, base64.b64decode(content)) for name, content in row["headers"]),
        dlq=KafkaPosition(topic=row["dlq_topic"], partition=row["dlq_partition"], offset=row["dlq_offset"])
        if stands
        else None,
    )


def dead_letter_key(letter: StoredDeadLetter) -> dict[str, Any]:
    """The primary key, as parameters."""
    return {name: getattr(letter, name) for name in ("cluster", "topic", "partition", "offset", "record_time")}


def _coordinate_columns(places: Sequence[Coordinates]) -> dict[str, list[Any]]:
    return {
        "cluster": [at.cluster for at in places],
        "topic": [at.topic for at in places],
        "partition": [at.partition for at in places],
        "offset": [at.offset for at in places],
        "record_time": [record_time(at) for at in places],
    }


def _top(classes: Sequence[ClassProbability]) -> str:
    return json.dumps(
        [
            {"class_id": one.class_id, "label": texts.storable(one.label), "probability": one.probability}
            for one in classes
        ]
    )


def _within(time: datetime) -> datetime:
    return min(max(time, _EARLIEST), _LATEST)
