"""From record to row on a real Kafka, a real PostgreSQL and a real ResNet50."""

import base64
import hashlib
import json
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaProducer, TopicPartition

from settings import Settings
from tests.checkpoints import sample_images
from tests.consumer.conftest import PARTITIONS, running
from tests.kafka_tools import committed_offsets, lag, publish, publish_aborted, read_all, rows, set_back
from tests.reference import reference_top1
from tests.waiting import eventually


def cloud_event(event_id: str, source: str = "/test") -> list[tuple[str, bytes]]:
    attributes = {"specversion": "1.0", "id": event_id, "source": source, "type": "io.streamscorer.image"}
    return [(f"ce_{name}", value.encode()) for name, value in attributes.items()]


def servers(settings: Settings) -> str:
    assert settings.kafka_bootstrap_servers is not None
    return settings.kafka_bootstrap_servers


def url(settings: Settings) -> str:
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


async def drained(settings: Settings) -> bool:
    return await lag(servers(settings), settings.kafka_group_id, settings.kafka_topic) == 0


async def test_all_four_forms_end_as_the_scores_of_an_independent_reference(
    settings: Settings, checkpoint: Path, tmp_path: Path
) -> None:
    images = sample_images()
    names = list(images)
    structured = {"specversion": "1.0", "id": names[1], "source": "/test", "type": "x"}
    structured["data_base64"] = base64.b64encode(images[names[1]]).decode()
    (tmp_path / "third").write_bytes(images[names[2]])
    by_uri = {"id": names[2], "source": "/test", "image_uri": (tmp_path / "third").as_uri()}
    plain = {"id": names[3], "source": "/test", "image_base64": base64.b64encode(images[names[3]]).decode()}
    records = [
        (images[names[0]], cloud_event(names[0])),
        (json.dumps(structured).encode(), [("content-type", b"application/cloudevents+json")]),
        (json.dumps(by_uri).encode(), []),
        (json.dumps(plain).encode(), []),
        *((images[name], []) for name in names[4:]),
    ]
    places = await publish(servers(settings), settings.kafka_topic, records)
    async with running(settings) as scorer:
        await eventually(partial(drained, settings))
        assert scorer.count("scorer_inference_images_total", origin="kafka", engine="torch") == len(names)
    found = await rows(
        url(settings),
        "select kafka_partition, kafka_offset, predicted_class, probability, sha256, source, event_id from scores",
    )
    by_place = {(row[0], row[1]): row[2:] for row in found}
    contents = [hashlib.sha256(images[name]).hexdigest() for name in names]
    assert [by_place[place][2] for place in places] == contents
    expected = reference_top1(checkpoint, [images[name] for name in names])
    for place, (class_id, probability) in zip(places, expected, strict=True):
        assert by_place[place][0] == class_id
        assert abs(by_place[place][1] - probability) <= 1e-3
    assert [by_place[place][3:] for place in places[:4]] == [("/test", name) for name in names[:4]]
    source, event_id = by_place[places[4]][3:]
    assert source.startswith("kafka:")
    assert source.endswith(f"/{settings.kafka_topic}")
    assert event_id.startswith(f"{places[4][0]}:{places[4][1]}:")


async def test_bad_records_end_as_dead_letters_untouched_and_their_batch_mates_are_scored(settings: Settings) -> None:
    image = next(iter(sample_images().values()))
    bad = [
        (image[: len(image) // 2], [*cloud_event("cut"), ("mine", b"\xff")]),
        (b"no image at all", []),
        (b'{"id": "x"}', []),
    ]
    good = [(image, cloud_event(f"good-{number}")) for number in range(3)]
    places = await publish(servers(settings), settings.kafka_topic, [*bad, *good, (None, [])])
    async with running(settings) as scorer:
        await eventually(partial(drained, settings))
        assert scorer.count("scorer_records_total", outcome="tombstone") == 1
        assert scorer.count("scorer_records_total", outcome="dead_lettered") == 3
    assert len(await rows(url(settings), "select 1 from scores")) == 3
    letters = await rows(url(settings), 'select partition, "offset", reason, value, message from dead_letters')
    reasons = {(row[0], row[1]): row[2] for row in letters}
    assert reasons == dict(zip(places[:3], ("InvalidImage", "InvalidEvent", "InvalidEvent"), strict=True))
    assert all(row[4] for row in letters)
    topic = await read_all(servers(settings), settings.kafka_dlq_topic)
    assert sorted(record.value or b"" for record in topic) == sorted(value for value, _ in bad)
    cut = next(record for record in topic if dict(record.headers).get("ce_id") == b"cut")
    assert list(cut.headers[:5]) == bad[0][1]
    assert dict(cut.headers)["streamscorer-error-class"] == b"InvalidImage"


async def test_the_same_event_again_adds_no_row_and_costs_no_inference(settings: Settings) -> None:
    image, other = list(sample_images().values())[:2]
    async with running(settings) as scorer:
        await publish(servers(settings), settings.kafka_topic, [(image, cloud_event("7"))])
        await eventually(partial(drained, settings))
        again = [(image, cloud_event("7"))] * PARTITIONS
        await publish(servers(settings), settings.kafka_topic, again)
        await eventually(partial(drained, settings))
        assert scorer.count("scorer_records_total", outcome="duplicate") == PARTITIONS
        await publish(servers(settings), settings.kafka_topic, [(other, cloud_event("7"))])
        await eventually(partial(drained, settings))
        assert scorer.count("scorer_inference_images_total", origin="kafka", engine="torch") == 1
    assert len(await rows(url(settings), "select 1 from scores")) == 1
    assert await rows(url(settings), "select reason, event_id from dead_letters") == [("Conflict", "7")]


async def test_two_pictures_under_one_id_in_one_batch_are_one_score_and_one_conflict(settings: Settings) -> None:
    first, second = list(sample_images().values())[:2]
    both = [(first, cloud_event("7")), (second, cloud_event("7")), (first, cloud_event("7"))]
    await publish(servers(settings), settings.kafka_topic, both, partition=0)
    async with running(settings) as scorer:
        await eventually(partial(drained, settings))
        assert scorer.count("scorer_records_total", outcome="duplicate") == 1
    assert await rows(url(settings), "select kafka_offset from scores") == [(0,)]
    assert await rows(url(settings), 'select "offset", reason from dead_letters') == [(1, "Conflict")]
    assert len(await read_all(servers(settings), settings.kafka_dlq_topic)) == 1


async def test_a_group_set_back_to_the_beginning_changes_nothing(settings: Settings) -> None:
    image = next(iter(sample_images().values()))
    records = [(image, cloud_event("1")), (image, []), (b"bad", []), (None, []), (image, cloud_event("1"))]
    await publish(servers(settings), settings.kafka_topic, records)
    async with running(settings):
        await eventually(partial(drained, settings))
    before = await rows(url(settings), "select * from scores order by seq")
    letters = await rows(url(settings), "select * from dead_letters")
    await set_back(servers(settings), settings.kafka_group_id, settings.kafka_topic)
    async with running(settings) as scorer:
        await eventually(partial(drained, settings))
        assert scorer.count("scorer_inference_images_total", origin="kafka", engine="torch") == 0
        assert scorer.count("scorer_records_total", outcome="redelivered") == 3
        assert scorer.count("scorer_records_total", outcome="duplicate") == 1
    assert await rows(url(settings), "select * from scores order by seq") == before
    assert await rows(url(settings), "select * from dead_letters") == letters
    assert len(await read_all(servers(settings), settings.kafka_dlq_topic)) == 1


async def test_lag_returns_to_zero_behind_an_aborted_transaction(settings: Settings) -> None:
    image = next(iter(sample_images().values()))
    await publish_aborted(servers(settings), settings.kafka_topic, image, cloud_event("aborted"))
    async with (
        AIOKafkaProducer(bootstrap_servers=servers(settings), transactional_id=settings.kafka_topic) as producer,
        producer.transaction(),
    ):
        await producer.send_and_wait(settings.kafka_topic, image, headers=cloud_event("kept"), partition=0)
    async with running(settings):
        await eventually(partial(drained, settings))
    assert await rows(url(settings), "select event_id from scores") == [("kept",)]


async def test_the_first_assignment_commits_the_start_position_with_our_state(settings: Settings) -> None:
    async with running(settings):
        await eventually(partial(drained, settings))
        committed = await committed_offsets(servers(settings), settings.kafka_group_id)
    assert committed.keys() == {TopicPartition(settings.kafka_topic, number) for number in range(PARTITIONS)}
    for offset, metadata in committed.values():
        assert offset == 0
        assert json.loads(metadata).keys() >= {"at", "state", "why", "since", "oldest_ts", "rate"}
