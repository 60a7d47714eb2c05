"""Hop 6: one transaction, each record exactly once, each input with its outcome."""

from datetime import UTC, datetime
from typing import LiteralString

import psycopg
import pytest
from psycopg.rows import DictRow

from errors import StoreUnavailable
from schemas.predictions import ClassProbability
from store.store import Store
from tests.store.looking import rows
from tests.store.makers import VERSION, at, dead_letter, model, score

Sql = psycopg.AsyncConnection[DictRow]
OTHER = "resnet50-000000000002"


async def test_a_written_score_reads_back_whole(store: Store, sql: Sql) -> None:
    new = score(1)
    written = await store.write([new], [])
    (found,) = await store.find("one", "cam", VERSION)
    assert written.outcomes == ("scored",)
    answer = new.prediction.model_dump(exclude={"cached", "timings_ms"})
    assert {name: value for name, value in found.model_dump().items() if name in answer} == answer
    assert found.event_time == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert found.scored_at == written.scored_at
    assert (found.kafka.topic, found.kafka.partition, found.kafka.offset) == ("events", 0, 1)
    (row,) = await rows(sql, "SELECT kafka_cluster, record_time, envelope_digest, top FROM scores")
    assert row["kafka_cluster"] == "kafka1"
    assert row["record_time"] == at(1).record_time
    assert row["envelope_digest"] == "d1"
    assert [ClassProbability(**one) for one in row["top"]] == list(new.prediction.top)


async def test_a_redelivered_batch_adds_no_rows(store: Store, sql: Sql) -> None:
    scores, letters = [score(1, "one"), score(2, "two")], [dead_letter(3), dead_letter(4)]
    await store.write(scores, letters)
    again = await store.write(scores, letters)
    assert again.outcomes == ("redelivered", "redelivered")
    assert again.dead_letters == ("redelivered", "redelivered")
    assert await rows(sql, "SELECT (SELECT count(*) FROM scores) s, (SELECT count(*) FROM dead_letters) d") == [
        {"s": 2, "d": 2}
    ]


async def test_each_input_gets_its_outcome_in_order(store: Store, sql: Sql) -> None:
    await store.write([score(1, "one", digest="d1")], [dead_letter(9)])
    written = await store.write(
        [
            score(5, "new"),
            score(2, "one", digest="d2"),
            score(9, "dead-lettered"),
            score(3, "one", digest="d1"),
            score(1, "one", digest="d1"),
            score(4, "a new one"),
        ],
        [],
    )
    assert written.outcomes == ("scored", "conflict", "redelivered", "duplicate", "redelivered", "scored")
    assert {row["event_id"] for row in await rows(sql, "SELECT event_id FROM scores")} == {"one", "new", "a new one"}


async def test_the_earliest_of_several_copies_in_one_batch_wins(store: Store) -> None:
    written = await store.write(
        [
            score(7, "one", digest="late"),
            score(5, "one", digest="early"),
            score(6, "one", digest="early"),
            score(5, "one", digest="early"),
            score(at(1, partition=1), "one", digest="early"),
        ],
        [],
    )
    assert written.outcomes == ("conflict", "scored", "duplicate", "redelivered", "duplicate")
    (found,) = await store.find("one", None, None)
    assert found.kafka.offset == 5


async def test_a_later_copy_is_scored_where_the_earlier_one_is_a_redelivery(store: Store) -> None:
    await store.write([], [dead_letter(1)])
    written = await store.write([score(1, "one"), score(2, "one"), score(3, "one")], [])
    assert written.outcomes == ("redelivered", "scored", "duplicate")


async def test_each_version_gets_its_row_and_the_view_shows_the_newest(store: Store, sql: Sql) -> None:
    await store.write([score(1, "one", label="old"), score(2, "two", label="old")], [])
    written = await store.write([score(1, "one", version=OTHER, label="new")], [])
    assert written.outcomes == ("scored",)
    assert (await store.write([score(3, "two", version=OTHER, digest="d2")], [])).outcomes == ("conflict",)
    latest = await rows(sql, "SELECT event_id, label FROM scores_latest ORDER BY event_id")
    assert latest == [{"event_id": "one", "label": "new"}, {"event_id": "two", "label": "old"}]
    (found,) = await store.find("one", None, None)
    assert found.label == "new"
    (found,) = await store.find("one", None, VERSION)
    assert found.label == "old"


async def test_find_gives_one_score_for_each_source(store: Store) -> None:
    await store.write([score(1, "one", source="b"), score(2, "one", source="a"), score(3, "two", source="a")], [])
    assert [found.source for found in await store.find("one", None, None)] == ["a", "b"]
    assert [found.source for found in await store.find("one", "b", None)] == ["b"]
    assert await store.find("three", None, None) == []


async def test_a_dead_letter_keeps_its_record_as_it_was(store: Store, sql: Sql) -> None:
    letter = dead_letter(1, reason="Conflict", source="cam", event_id="one", digest="d9", delivery_count=3)
    headers = (("a", b"\xff\x00"), ("a", b""), ("b\x00", b"text"))
    record = letter.record.__class__(letter.record.at, b"\x00key", b"\x00\xff", headers)
    letter = dead_letter(
        1, reason="Conflict", source="cam", event_id="one", digest="d9", delivery_count=3, record=record
    )
    await store.write([], [letter])
    (row,) = await rows(sql, "SELECT * FROM dead_letters")
    assert (row["cluster"], row["topic"], row["partition"], row["offset"]) == ("kafka1", "events", 0, 1)
    assert row["record_time"] == at(1).record_time
    assert (row["reason"], row["message"], row["source"], row["event_id"]) == ("Conflict", "not an image", "cam", "one")
    assert (row["key"], row["value"], row["value_size"]) == (b"\x00key", b"\x00\xff", 2)
    assert row["headers"] == [["a", "/wA="], ["a", ""], ["b\ufffd", "dGV4dA=="]]
    assert (row["envelope_digest"], row["delivery_count"]) == ("d9", 3)
    assert (row["resolved_at"], row["resolution"]) == (None, None)


@pytest.mark.parametrize(
    ("value", "kept"), [(None, None), (b"", 0), (b"x" * 256 * 1024, 256 * 1024), (b"x" * 300 * 1024, None)]
)
async def test_a_large_value_stays_in_the_topic_and_the_row_tells(
    store: Store, sql: Sql, value: bytes | None, kept: int | None
) -> None:
    from schemas.records import Record
    from schemas.scores import KafkaPosition

    place = KafkaPosition(topic="events.dlq", partition=2, offset=77)
    letter = dead_letter(1, record=Record(at(1), None, value), message="x" * 100_000, published=place)
    assert (await store.write([], [letter])).dead_letters == ("dead_lettered",)
    (row,) = await rows(
        sql, "SELECT length(value) kept, value_size, key, length(message) message, dlq_offset FROM dead_letters"
    )
    assert row == {
        "kept": kept,
        "value_size": None if value is None else len(value),
        "key": None,
        "message": 2000,
        "dlq_offset": 77,
    }


async def test_a_score_resolves_earlier_dead_letters_of_its_event_but_no_conflict(store: Store, sql: Sql) -> None:
    await store.write(
        [],
        [
            dead_letter(1, source="cam", event_id="one"),
            dead_letter(2, source="cam", event_id="one", reason="Conflict"),
            dead_letter(3, source="cam", event_id="two"),
            dead_letter(4),
        ],
    )
    written = await store.write([score(5, "one")], [dead_letter(6, source="cam", event_id="one")])
    found = await rows(sql, 'SELECT "offset", resolution, resolved_at FROM dead_letters ORDER BY "offset"')
    assert [(row["offset"], row["resolution"]) for row in found] == [
        (1, "scored"), (2, None), (3, None), (4, None), (6, "scored"),
    ]  # fmt: skip
    assert found[0]["resolved_at"] == written.scored_at


async def test_a_conflict_is_resolved_by_the_score_of_its_own_picture(store: Store, sql: Sql) -> None:
    await store.write(
        [],
        [
            dead_letter(1, source="cam", event_id="one", reason="Conflict", digest="mine"),
            dead_letter(2, source="cam", event_id="one", reason="Conflict", digest="another"),
        ],
    )
    await store.write([score(3, "one", digest="mine")], [])
    found = await rows(sql, 'SELECT resolution FROM dead_letters ORDER BY "offset"')
    assert [row["resolution"] for row in found] == ["scored", None]


async def test_what_was_sent_back_and_is_then_scored_is_shown_as_scored(store: Store, sql: Sql) -> None:
    await store.write([], [dead_letter(number, source="cam", event_id="one") for number in (1, 2)])
    await sql.execute("UPDATE dead_letters SET resolved_at = now(), resolution = 'redriven' WHERE \"offset\" = 1")
    await sql.execute("UPDATE dead_letters SET resolved_at = now(), resolution = 'discarded' WHERE \"offset\" = 2")
    written = await store.write([score(3, "one")], [])
    found = await rows(sql, 'SELECT resolution, resolved_at FROM dead_letters ORDER BY "offset"')
    assert [row["resolution"] for row in found] == ["scored", "discarded"]
    assert found[0]["resolved_at"] == written.scored_at


async def test_a_record_sent_back_twice_by_accident_is_one_more_dead_letter(store: Store, sql: Sql) -> None:
    origin = str(at(1))
    back = [dead_letter(number, origin=origin, delivery_count=2) for number in (5, 6)]
    first = await store.write([], [dead_letter(1), *back])
    assert first.dead_letters == ("dead_lettered", "dead_lettered", "redelivered")
    assert (await store.write([], [dead_letter(7, origin=origin, delivery_count=2)])).dead_letters == ("redelivered",)
    assert (await store.write([], [dead_letter(8, origin=origin, delivery_count=3)])).dead_letters == ("dead_lettered",)
    found = await rows(sql, 'SELECT "offset", origin, delivery_count FROM dead_letters ORDER BY "offset"')
    assert [tuple(row.values()) for row in found] == [(1, None, 1), (5, origin, 2), (8, origin, 3)]


async def test_a_forged_count_or_origin_is_stored_all_the_same(store: Store, sql: Sql) -> None:
    forged = dead_letter(1, delivery_count=10**20, origin=f"{'c' * 5000}\x00/t/0/0/0")
    assert (await store.write([], [forged])).dead_letters == ("dead_lettered",)
    assert (await rows(sql, "SELECT delivery_count FROM dead_letters")) == [{"delivery_count": 2**31 - 1}]


async def test_no_record_gets_a_score_and_a_dead_letter(store: Store, sql: Sql) -> None:
    await store.write([score(1, "one")], [dead_letter(2)])
    written = await store.write([score(2, "two"), score(3, "three")], [dead_letter(1), dead_letter(3)])
    assert written.outcomes == ("redelivered", "redelivered")
    assert written.dead_letters == ("redelivered", "dead_lettered")


async def test_a_version_that_fails_on_what_another_one_scored_may_say_so(store: Store) -> None:
    await store.write([score(1, "one", version=OTHER)], [])
    assert (await store.write([], [dead_letter(1)])).dead_letters == ("redelivered",)
    assert (await store.write([], [dead_letter(1)], model_version=VERSION)).dead_letters == ("dead_lettered",)


async def test_nothing_to_write_is_written(store: Store) -> None:
    written = await store.write([], [])
    assert (written.outcomes, written.dead_letters) == ((), ())


REFUSALS: LiteralString = """
CREATE SEQUENCE tries;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('tries') <= TG_ARGV[0]::int THEN
    RAISE EXCEPTION 'not now' USING ERRCODE = TG_ARGV[1];
  END IF;
  RETURN NEW;
END $$;
"""


@pytest.mark.parametrize("state", ["40P01", "40001"])
async def test_a_transaction_ended_for_another_ones_sake_is_tried_again(store: Store, sql: Sql, state: str) -> None:
    await sql.execute(REFUSALS)
    await sql.execute(
        psycopg.sql.SQL("CREATE TRIGGER no BEFORE INSERT ON scores FOR EACH ROW EXECUTE FUNCTION refuse(3, {})").format(
            state
        )
    )
    assert (await store.write([score(1)], [dead_letter(2)])).outcomes == ("scored",)
    assert len(await rows(sql, "SELECT FROM dead_letters")) == 1


async def test_a_transaction_that_never_gets_through_is_an_outage(store: Store, sql: Sql) -> None:
    await sql.execute(REFUSALS)
    await sql.execute("CREATE TRIGGER no BEFORE INSERT ON scores FOR EACH ROW EXECUTE FUNCTION refuse(100, '40P01')")
    with pytest.raises(StoreUnavailable, match="not now"):
        await store.write([score(1)], [])


@pytest.mark.parametrize("state", ["53100", "53300", "57014", "25006", "58030"])
async def test_a_server_that_cannot_serve_is_an_outage_and_its_end_is_seen(store: Store, sql: Sql, state: str) -> None:
    await sql.execute(REFUSALS)
    await sql.execute(
        psycopg.sql.SQL("CREATE TRIGGER no BEFORE INSERT ON scores FOR EACH ROW EXECUTE FUNCTION refuse(1, {})").format(
            state
        )
    )
    with pytest.raises(StoreUnavailable, match=r"cannot serve: not now$"):
        await store.write([score(1)], [dead_letter(2)])
    assert await rows(sql, "SELECT FROM dead_letters") == []
    assert (await store.write([score(1)], [dead_letter(2)])).outcomes == ("scored",)


async def test_a_bug_is_no_outage(store: Store, sql: Sql) -> None:
    await sql.execute("ALTER TABLE scores DROP COLUMN traceparent CASCADE")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        await store.write([score(1)], [])


async def test_a_model_is_registered_once(store: Store, sql: Sql) -> None:
    await store.register_model(model(labels=("a\x00", "b")))
    await store.register_model(model(labels=("other",)))
    (row,) = await rows(sql, "SELECT * FROM models")
    assert row["model_version"] == VERSION
    assert row["labels"] == ["a\ufffd", "b"]
    assert row["untrained"] is False
    assert row["first_seen"].tzinfo is not None


@pytest.mark.parametrize(
    "wrong",
    ["probability = 1.5", "predicted_class = -1", "top = '{}'"],
)
async def test_the_tables_refuse_what_cannot_be_true(store: Store, sql: Sql, wrong: LiteralString) -> None:
    await store.write([score(1)], [])
    with pytest.raises(psycopg.errors.CheckViolation):
        await sql.execute(psycopg.sql.SQL("UPDATE scores SET {}").format(psycopg.sql.SQL(wrong)))


@pytest.mark.parametrize("wrong", ["reason = ''", "resolution = 'lost', resolved_at = now()", "resolution = 'scored'"])
async def test_dead_letters_refuse_what_cannot_be_true(store: Store, sql: Sql, wrong: LiteralString) -> None:
    await store.write([], [dead_letter(1)])
    with pytest.raises(psycopg.errors.CheckViolation):
        await sql.execute(psycopg.sql.SQL("UPDATE dead_letters SET {}").format(psycopg.sql.SQL(wrong)))
