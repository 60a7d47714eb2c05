"""Hundreds of records in all four forms, a thousand with `make faults`: each accounted for, and accounted for once."""

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

UNDECODABLE, TOMBSTONES = 20, 5


def envelope(form: int, image: bytes, number: int, folder: Path, *, named: bool) -> tuple[bytes, list[Header]]:
    """The four forms in turn; those that are `named` carry an id."""
    event_id = f"event-{number}" if named else None
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
@pytest.mark.parametrize("total", [250, pytest.param(1000, marks=pytest.mark.soak)])
async def test_all_records_end_as_scores_or_dead_letters_and_stay_so(
    total: int, kafka: str, migrated_url: str, scorer_settings: dict[str, Any], tmp_path: Path
) -> None:
    valid_count = total - UNDECODABLE - TOMBSTONES
    settings = Settings(**scorer_settings, threads=1, uri_file_roots=str(tmp_path), _env_file=None)
    images = list(pictures(valid_count))
    valid = [
        envelope(number % 4, image, number, tmp_path, named=number < valid_count // 2)
        for number, image in enumerate(images)
    ]
    bad = [
        (image[: len(image) // 3], [("number", str(number).encode())])
        for number, image in enumerate(images[:UNDECODABLE])
    ]
    records: list[tuple[bytes | None, list[Header]]] = [*valid]
    for number, (value, headers) in enumerate(bad):
        records.insert(number * total // UNDECODABLE, (value, headers))
    for number in range(TOMBSTONES):
        records.insert(number * total // TOMBSTONES + 7, (None, []))
    await publish(kafka, settings.kafka_topic, records)

    async def drained() -> bool:
        return await lag(kafka, settings.kafka_group_id, settings.kafka_topic) == 0

    async with running(settings) as scorer:
        await eventually(drained, within_s=240)
        assert scorer.count("scorer_records_total", outcome="scored") == valid_count
        assert scorer.count("scorer_records_total", outcome="tombstone") == TOMBSTONES
        assert await rows(migrated_url, "select count(*), count(distinct (source, event_id)) from scores") == [
            (valid_count, valid_count)
        ]
        assert await rows(migrated_url, "select reason, count(*) from dead_letters group by 1") == [
            ("InvalidImage", UNDECODABLE)
        ]
        assert len(await read_all(kafka, settings.kafka_dlq_topic)) == UNDECODABLE

        inferences = partial(scorer.count, "scorer_inference_images_total", origin="kafka", engine=settings.engine)
        assert inferences() == valid_count
        await publish(kafka, settings.kafka_topic, valid[:50])
        await publish(kafka, settings.kafka_topic, [(images[1], cloud_event("event-0"))])
        await eventually(drained)
        assert inferences() == valid_count
        assert scorer.count("scorer_records_total", outcome="duplicate") == 50
        assert scorer.count("scorer_dead_letters_total", reason="Conflict") == 1

    await set_back(kafka, settings.kafka_group_id, settings.kafka_topic)
    assert await lag(kafka, settings.kafka_group_id, settings.kafka_topic) == total + 51
    async with running(settings) as scorer:
        await eventually(drained)
        assert scorer.count("scorer_inference_images_total", origin="kafka", engine=settings.engine) == 0
    assert await rows(migrated_url, "select count(*) from scores") == [(valid_count,)]
    assert await rows(migrated_url, "select count(*) from dead_letters") == [(UNDECODABLE + 1,)]
