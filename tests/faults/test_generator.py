"""The generator's plan repeats with its seed, says of each record what must become of it, and knows what Kafka took."""

import itertools
import uuid
from collections import Counter

from broker.topics import create_topics
from errors import InvalidEvent
from schemas.envelope import decode_event
from schemas.records import Coordinates, Record
from settings import KafkaSettings
from tests.faults.generator import Ingredients, Plan, Planned, bad_records
from tests.faults.history import MARKER
from tests.faults.pool import make_pool, offline_answers
from tests.faults.publishing import open_publishing
from tests.faults.reading import read_topic

POOL = make_pool(30, seed=1)
INGREDIENTS = Ingredients(POOL, bad_records(), "http://127.0.0.1:1")
MANY = 4000


def planned(count: int, *, seed: int = 7) -> list[Planned]:
    return Plan(seed, INGREDIENTS).take(count)


def test_the_same_seed_plans_the_same_and_another_one_something_else() -> None:
    assert planned(300) == planned(300)
    assert planned(300) != planned(300, seed=8)
    assert make_pool(5, seed=3) == make_pool(5, seed=3)


def test_each_record_has_a_marker_of_its_own() -> None:
    markers = [dict(one.headers)[MARKER].decode() for one in planned(MANY)]
    assert markers == [one.marker for one in planned(MANY)]
    assert len(set(markers)) == MANY


def test_a_plan_mixes_everything() -> None:
    some = planned(MANY)
    fates = Counter(one.expected.fate for one in some)
    assert 0.02 < fates["dead"] / MANY < 0.04
    assert fates["tombstone"]
    reasons = {reason for one in some for reason in one.expected.reasons}
    assert reasons >= {"InvalidEvent", "InvalidImage", "ImageTooLarge", "SourceRefused", "SourceNotFound"}
    by_id: dict[str | None, list[Planned]] = {}
    for one in some:
        by_id.setdefault(one.expected.event_id, []).append(one)
    assert len(by_id.pop(None)) > MANY * 0.05
    pairs = [pair for same in by_id.values() for pair in itertools.pairwise(same)]
    again = [(one, other) for one, other in pairs if one.expected.picture == other.expected.picture]
    assert len(pairs) > len(again) > MANY * 0.05, "no conflicts, or no duplicates"
    assert any(int(other.marker) - int(one.marker) < 3 for one, other in again)
    assert {one.spread == other.spread for one, other in again} == {True, False}


def test_what_is_to_be_scored_is_the_event_that_it_says() -> None:
    pictures = {picture.sha256: picture.data for picture in POOL}
    at = Coordinates("c", "t", 0, 0, 1)
    for one in planned(MANY):
        record = Record(at, one.key, one.value, one.headers)
        if one.expected.fate == "scored":
            event = decode_event(record, "coordinates")
            assert one.expected.picture is not None
            if isinstance(event.image, bytes):
                assert event.image == pictures[one.expected.picture]
            else:
                assert event.image.sha256 == one.expected.picture
            if one.expected.event_id is not None:
                assert event.identity == (one.expected.source, one.expected.event_id)
        elif "InvalidEvent" in one.expected.reasons:
            try:
                decode_event(record, "coordinates")
            except InvalidEvent:
                continue
            raise AssertionError(f"this should be no event: {one.headers}")


def test_the_offline_run_tells_pictures_apart() -> None:
    answers = offline_answers(POOL)
    assert set(answers) == {picture.sha256 for picture in POOL}
    assert len(set(answers.values())) == len(POOL)


async def test_what_kafka_acknowledged_stands_where_it_said(kafka: str) -> None:
    topic = f"g-{uuid.uuid4().hex[:12]}"
    settings = KafkaSettings(kafka_bootstrap_servers=kafka, kafka_topic=topic)
    await create_topics(settings, max_image_bytes=8 * 2**20, partitions=3)
    some = planned(200)
    async with open_publishing(kafka, topic) as publishing:
        await publishing.publish(some)
        await publishing.flush()
        assert publishing.acknowledged == len(some)
    records = {record.place: record for record in await read_topic(kafka, topic)}
    assert len(records) == len(some)
    for sent in publishing.sent():
        assert sent.at is not None
        assert records[sent.at].header(MARKER) == sent.marker
