"""Rows and models, in both directions: the one place that knows which column holds what."""

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from schemas.dead_letters import DeadLetter, StoredDeadLetter
from schemas.predictions import ClassProbability, ImageInfo, ModelInfo
from schemas.records import Coordinates
from schemas.scores import KafkaPosition, Score
from store import texts
from store.arrays import number_array, text_array
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
    return _time(at.timestamp_ms)


def _time(timestamp_ms: int) -> datetime:
    try:
        return _within(_EPOCH + timedelta(milliseconds=timestamp_ms))
    except OverflowError:
        return _LATEST if timestamp_ms > 0 else _EARLIEST


@lru_cache(maxsize=16 * 1024)
def _time_text(timestamp_ms: int) -> str:
    """Each record's is asked for twice, and of a fast stream many records share one."""
    return str(_time(timestamp_ms))


def identity(source: str, event_id: str, model_version: str) -> tuple[str, str, str]:
    """The primary key of a score."""
    return texts.key(source), texts.key(event_id), model_version


def asked_columns(asked: Sequence[Asked], model_versions: Sequence[str]) -> dict[str, str]:
    """Arrays for `queries.DECIDE`, one entry a record."""
    return {
        **_coordinate_columns([one.at for one in asked]),
        "source": text_array([None if one.source is None else texts.key(one.source) for one in asked]),
        "event_id": text_array([None if one.event_id is None else texts.key(one.event_id) for one in asked]),
        "digest": text_array([one.digest for one in asked]),
        "model_version": text_array(model_versions),
    }


def score_columns(scores: Sequence[NewScore]) -> dict[str, str]:
    """Arrays for `queries.INSERT_SCORES`, one entry a score."""
    events, answers = [one.event for one in scores], [one.prediction for one in scores]
    images = [answer.image for answer in answers]
    return {
        **_coordinate_columns([one.at for one in scores]),
        "source": text_array([texts.key(event.source) for event in events]),
        "event_id": text_array([texts.key(event.id) for event in events]),
        "digest": text_array([one.digest for one in scores]),
        "model_version": text_array([answer.model_version for answer in answers]),
        "event_time": text_array([str(_within(event.event_time)) for event in events]),
        "traceparent": text_array([event.traceparent and texts.shortened(event.traceparent, 200) for event in events]),
        "predicted_class": number_array([answer.predicted_class for answer in answers]),
        "label": text_array([texts.shortened(answer.label, texts.LABEL_CHARS) for answer in answers]),
        "probability": number_array([answer.probability for answer in answers]),
        "top": text_array([_top(answer.top) for answer in answers]),
        "sha256": text_array([image.sha256 for image in images]),
        "format": text_array([image.format for image in images]),
        "width": number_array([image.width for image in images]),
        "height": number_array([image.height for image in images]),
        "bytes": number_array([image.bytes for image in images]),
        "engine": text_array([answer.engine for answer in answers]),
        "precision": text_array([answer.precision for answer in answers]),
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


def _coordinate_columns(places: Sequence[Coordinates]) -> dict[str, str]:
    return {
        "cluster": text_array([at.cluster for at in places]),
        "topic": text_array([at.topic for at in places]),
        "partition": number_array([at.partition for at in places]),
        "offset": number_array([at.offset for at in places]),
        "record_time": text_array([_time_text(at.timestamp_ms) for at in places]),
    }


def _top(classes: Sequence[ClassProbability]) -> str:
    """The classes as the JSON that `score_of` reads."""
    listed = [
        f'{{"class_id":{one.class_id},"label":{_label_json(one.label)},"probability":{one.probability!r}}}'
        for one in classes
    ]
    return f"[{','.join(listed)}]"


@lru_cache(maxsize=16 * 1024)
def _label_json(label: str) -> str:
    """A model has few labels, and each score lists some of them."""
    return json.dumps(texts.storable(label))


def _within(time: datetime) -> datetime:
    return min(max(time, _EARLIEST), _LATEST)
