"""Hop 3: which records are decided already, from one question for the whole batch."""

from datetime import UTC, datetime

from schemas.records import Coordinates
from store.decisions import Asked
from store.store import Store
from tests.store.makers import VERSION, asked, at, dead_letter, score

OTHER = "resnet50-000000000002"


async def test_nothing_is_decided_in_an_empty_store(store: Store) -> None:
    assert await store.decided([asked(1), asked(2)], VERSION) == [None, None]
    assert await store.decided([], VERSION) == []


async def test_the_same_record_is_a_redelivery_whatever_else_it_says(store: Store) -> None:
    await store.write([score(1)], [dead_letter(2)])
    decisions = await store.decided(
        [
            asked(1),
            asked(1, "another id", digest="another"),
            Asked(at(1), None, None, None),
            Asked(at(2), None, None, None),
            asked(2),
        ],
        VERSION,
    )
    assert decisions == ["redelivered"] * 5


async def test_a_topic_made_again_or_another_cluster_is_another_record(store: Store) -> None:
    await store.write([score(1)], [dead_letter(2)])
    again = Coordinates("kafka1", "events", 0, 1, at(1).timestamp_ms + 1)
    elsewhere = Coordinates("kafka2", "events", 0, 2, at(2).timestamp_ms)
    assert await store.decided([asked(again, "new"), asked(elsewhere, "new")], VERSION) == [None, None]


async def test_the_same_event_elsewhere_is_a_duplicate_or_a_conflict_by_its_content(store: Store) -> None:
    await store.write([score(1, "one", digest="d1")], [])
    decisions = await store.decided(
        [asked(2, "one", digest="d1"), asked(3, "one", digest="d2"), asked(4, "two"), asked(5, "one", source="other")],
        VERSION,
    )
    assert decisions == ["duplicate", "conflict", None, None]


async def test_a_dead_letter_claims_no_identity(store: Store) -> None:
    await store.write([], [dead_letter(1, source="cam", event_id="one", digest="d1")])
    assert await store.decided([asked(2, "one"), asked(3, "one", digest="d2")], VERSION) == [None, None]


async def test_another_version_scores_again_and_still_sees_conflicts(store: Store) -> None:
    await store.write([score(1, "one", digest="d1", version=OTHER)], [])
    decisions = await store.decided(
        [asked(1, "one"), asked(2, "one", digest="d1"), asked(3, "one", digest="d2")], VERSION
    )
    assert decisions == [None, None, "conflict"]


async def test_the_same_record_read_differently_by_a_newer_release_is_no_conflict_with_itself(store: Store) -> None:
    await store.write([score(1, "one", digest="old way", version=OTHER)], [])
    assert await store.decided([asked(1, "one", digest="new way")], VERSION) == [None]


async def test_any_text_and_any_timestamp_can_be_asked_and_written(store: Store) -> None:
    strange = "a\x00b\ud800" + "ü" * 5000
    place = Coordinates("kafka1", "events", 0, 7, -(2**62))
    new = score(place, strange, source=strange, label=strange)
    written = await store.write([new], [dead_letter(8, message=strange, source=strange, event_id=strange)])
    assert written.outcomes == ("scored",)
    assert await store.decided([asked(place, strange, source=strange)], VERSION) == ["redelivered"]
    (found,) = await store.find(strange, strange, None)
    assert found.label.startswith("a\ufffdb\ufffdüü")
    assert found.top[0].label == "a\ufffdb\ufffd" + "ü" * 5000
    assert found.event_time == datetime(2026, 3, 1, 12, tzinfo=UTC)
