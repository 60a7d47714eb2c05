"""Scores, dead letters and questions with defaults, so that a test names only what it is about."""

from datetime import UTC, datetime
from typing import Any

from schemas.dead_letters import DeadLetter
from schemas.events import ImageEvent
from schemas.predictions import ClassProbability, ImageInfo, ModelInfo, Prediction, Timings
from schemas.records import Coordinates, Record
from store.decisions import Asked, NewScore

VERSION = "resnet50-000000000001"


def at(offset: int, *, partition: int = 0, topic: str = "events", cluster: str = "kafka1") -> Coordinates:
    return Coordinates(cluster, topic, partition, offset, 1_760_000_000_000 + offset)


def prediction(*, version: str = VERSION, label: str = "tabby", probability: float = 0.75) -> Prediction:
    return Prediction(
        predicted_class=281,
        label=label,
        probability=probability,
        top=(
            ClassProbability(class_id=281, label=label, probability=probability),
            ClassProbability(class_id=282, label="tiger cat", probability=0.125),
        ),
        model_version=version,
        engine="torch",
        precision="fp32",
        image=ImageInfo(sha256="ab" * 32, format="jpeg", width=640, height=480, bytes=12345),
        timings_ms=Timings(decode=1, queue=2, infer=3, total=6),
    )


def score(
    place: Coordinates | int, event_id: str = "one", *, source: str = "cam", digest: str = "d1", **answer: Any
) -> NewScore:
    place = at(place) if isinstance(place, int) else place
    event = ImageEvent(source, event_id, b"picture", datetime(2026, 3, 1, 12, tzinfo=UTC))
    return NewScore(place, event, digest, prediction(**answer))


def asked(place: Coordinates | int, event_id: str = "one", *, source: str = "cam", digest: str = "d1") -> Asked:
    return Asked(at(place) if isinstance(place, int) else place, source, event_id, digest)


def dead_letter(place: Coordinates | int, *, reason: str = "InvalidImage", **fields: Any) -> DeadLetter:
    record = Record(at(place) if isinstance(place, int) else place, b"key", b"value", (("name", b"content"),))
    return DeadLetter(**{"record": record, "reason": reason, "message": "not an image", **fields})


def model(**fields: Any) -> ModelInfo:
    return ModelInfo(
        **{
            "model_version": VERSION,
            "name": "resnet50",
            "weights": "IMAGENET1K_V2",
            "weights_sha256": "cd" * 32,
            "preprocessing": "resize=232,crop=224",
            "labels": ("tench", "goldfish"),
            "engine": "torch",
            "precision": "fp32",
            "device": "cpu",
            **fields,
        }
    )
