"""A thousand records in all four forms: every one accounted for, and accounted for once."""

import base64
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from settings import Settings
from tests.consumer.conftest import running
from tests.consumer.test_worker import cloud_event
from tests.kafka_tools import Header, lag, publish, read_all, rows, set_back
from tests.system.pictures import pictures
from tests.waiting import eventually

VALID, WITH_IDS, UNDECODABLE, TOMBSTONES = 975, 500, 20, 5


def envelope(form: int, image: bytes, number: int, folder: Path) -> tuple[bytes, list[Header]]:
    """The four forms in turn; those below WITH_IDS carry an id."""
    event_id = f"event-{number}" if number < WITH_IDS else None
    if event_id is None:
        if form % 2:
            return image, []
        return json.dumps({"image_base64": base64.b64encode(image).decode()}).encode(), []
    if form == 0:
        event = {"specversion": "1.0", "id": event_id, "source": "/test", "type": "x"}
        event["data_base64"] = base64.b64encode(image).decode()
        return json.dumps(event).encode(), [("content-type", b"application/cloudevents+json")]
    if form == 1:
        return image, cloud_event(event_id)
    if form == 2:
        path = folder / f"{number}.jpg"
        path.write_bytes(image)
        return json.dumps({"id": event_id, "source": "/test", "image_uri": path.as_uri()}).encode(), []
    body = {"id": event_id, "source": "/test", "image_base64": base64.b64encode(image).decode()}
    return json.dumps(body).encode(), []


@pytest.mark.timeout(300)
async def test_a_thousand_records_end_as_975_scores_and_20_dead_letters(
    kafka: str, migrated_url: str, checkpoint: Path, scorer_settings: dict[str, Any], tmp_path: Path
) -> None:
    settings = Settings(**scorer_settings, threads=1, uri_file_roots=str(tmp_path), _env_file=None)
    images = list(pictures(VALID))
    valid = [envelope(number % 4, image, number, tmp_path) for number, image in enumerate(images)]
    bad = [(image[: len(image) // 3], [("number", str(number).encode())]) for number, image in enumerate(images[:20])]
    records: list[tuple[bytes | None, list[Header]]] = [*valid]
    for number, (value, headers) in enumerate(bad):
        records.insert(number * 48, (value, headers))
    for number in range(TOMBSTONES):
        records.insert(number * 190 + 7, (None, []))
    await publish(kafka, settings.kafka_topic, records)

    async def drained() -> bool:
        return await lag(kafka, settings.kafka_group_id, settings.kafka_topic) == 0

    async with running(settings) as scorer:
        await eventually(drained, within_s=240)
        assert scorer.count("scorer_records_total", outcome="scored") == VALID
        assert scorer.count("scorer_records_total", outcome="tombstone") == TOMBSTONES
        assert await rows(migrated_url, "select count(*), count(distinct (source, event_id)) from scores") == [
            (VALID, VALID)
        ]
        assert await rows(migrated_url, "select reason, count(*) from dead_letters group by 1") == [
            ("InvalidImage", UNDECODABLE)
        ]
        assert len(await read_all(kafka, settings.kafka_dlq_topic)) == UNDECODABLE

        inferences = partial(scorer.count, "scorer_inference_images_total", origin="kafka", engine=settings.engine)
        assert inferences() == VALID
        await publish(kafka, settings.kafka_topic, valid[:50])
        await publish(kafka, settings.kafka_topic, [(images[1], cloud_event("event-0"))])
        await eventually(drained)
        assert inferences() == VALID
        assert scorer.count("scorer_records_total", outcome="duplicate") == 50
        assert scorer.count("scorer_dead_letters_total", reason="Conflict") == 1

    await set_back(kafka, settings.kafka_group_id, settings.kafka_topic)
    assert await lag(kafka, settings.kafka_group_id, settings.kafka_topic) == 1000 + 51
    async with running(settings) as scorer:
        await eventually(drained)
        assert scorer.count("scorer_inference_images_total", origin="kafka", engine=settings.engine) == 0
    assert await rows(migrated_url, "select count(*) from scores") == [(VALID,)]
    assert await rows(migrated_url, "select count(*) from dead_letters") == [(UNDECODABLE + 1,)]
