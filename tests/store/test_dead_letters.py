"""Dead letters as an operator handles them: which are found, and that each is resolved once, or not at all."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import DictRow

from schemas.dead_letters import DeadLetterFilter, StoredDeadLetter
from schemas.records import Coordinates, Record
from schemas.scores import KafkaPosition
from store.dead_letters import Place, Verdict
from store.store import Store
from tests.store.looking import rows
from tests.store.makers import at, dead_letter, score

Sql = psycopg.AsyncConnection[DictRow]
REDRIVE = Verdict("redriven", "ann", "dlq redrive", {"filters": {"reason": "InvalidImage"}})


async def found(store: Store, chunk: int = 500, **where: Any) -> list[int]:
    """Offsets of what matches, newest first."""
    chunks = store.iterate_dead_letters(DeadLetterFilter(**where), chunk=chunk)
    return [letter.offset async for some in chunks for letter in some]


async def the_one(store: Store, offset: int) -> StoredDeadLetter:
    (letter,) = await store.dead_letters_at(Place("events", 0, offset))
    return letter


async def test_a_dead_letter_reads_back_whole(store: Store) -> None:
    record = Record(at(7), b"\xff", b"payload", (("twice", b"\x00"), ("twice", b"2")))
    published = KafkaPosition(topic="events.dlq", partition=0, offset=3)
    written = await store.write(
        [], [dead_letter(7, record=record, source="cam", event_id="one", published=published, origin=str(at(1)))]
    )
    letter = await the_one(store, 7)
    assert letter.at == at(7)
    assert (letter.key, letter.headers, letter.value_size) == (b"\xff", record.headers, 7)
    assert (letter.source, letter.event_id, letter.dlq, letter.origin) == ("cam", "one", published, str(at(1)))
    assert (letter.failed_at, letter.resolution, letter.resolved_at) == (written.scored_at, None, None)
    assert await store.dead_letter_value(letter) == b"payload"


async def test_a_large_value_is_not_in_the_row(store: Store) -> None:
    await store.write([], [dead_letter(1, record=Record(at(1), None, bytes(300_000), ()))])
    letter = await the_one(store, 1)
    assert letter.value_size == 300_000
    assert await store.dead_letter_value(letter) is None


async def test_filters_hold_together_and_chunks_cover_everything_once(store: Store, sql: Sql) -> None:
    letters = [dead_letter(number, reason="Conflict" if number % 2 else "InvalidEvent") for number in range(7)]
    await store.write([], [*letters, dead_letter(at(7, partition=1)), dead_letter(at(8, topic="others"))])
    await sql.execute("UPDATE dead_letters SET resolved_at = now(), resolution = 'discarded' WHERE \"offset\" = 3")
    await sql.execute("UPDATE dead_letters SET failed_at = failed_at - interval '1 hour' WHERE \"offset\" < 2")
    assert await found(store) == await found(store, chunk=2) == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert await found(store, reason="Conflict", chunk=1) == [5, 3, 1]
    assert await found(store, reason="Conflict", unresolved=True) == [5, 1]
    assert await found(store, topic="events", partition=1) == [7]
    assert await found(store, cluster="elsewhere") == []
    half_an_hour_ago = datetime.now(UTC) - timedelta(minutes=30)
    assert await found(store, until=half_an_hour_ago) == [1, 0]
    assert await found(store, since=half_an_hour_ago, reason="InvalidEvent") == [6, 4, 2]
    oldest = store.iterate_dead_letters(DeadLetterFilter(), "oldest", chunk=4)
    assert [letter.offset async for some in oldest for letter in some] == [0, 1, 2, 3, 4, 5, 6, 7, 8]


async def test_what_is_dead_lettered_while_one_reads_does_not_come(store: Store) -> None:
    """Else a redrive whose records fail again would never end."""
    await store.write([], [dead_letter(number) for number in range(3)])
    seen: list[int] = []
    async for (letter,) in store.iterate_dead_letters(DeadLetterFilter(), "oldest", chunk=1):
        seen.append(letter.offset)
        await store.write([], [dead_letter(100 + letter.offset)])
    assert seen == [0, 1, 2]


async def test_a_place_names_every_topic_and_cluster_that_had_it(store: Store) -> None:
    again = Coordinates("kafka1", "events", 0, 1, at(1).timestamp_ms + 5)
    await store.write([], [dead_letter(1), dead_letter(again), dead_letter(at(1, cluster="kafka2"))])
    assert [one.at for one in await store.dead_letters_at(Place("events", 0, 1))] == [
        at(1), at(1, cluster="kafka2"), again,
    ]  # fmt: skip
    assert [one.at for one in await store.dead_letters_at(Place("events", 0, 1, again.record_time))] == [again]
    assert await store.dead_letters_at(Place("events", 0, 2)) == []


async def test_it_is_marked_once_the_body_is_done_with_an_audit_row(store: Store, sql: Sql) -> None:
    await store.write([], [dead_letter(1), dead_letter(2)])
    letter = await the_one(store, 1)
    async with store.resolving(letter, REDRIVE) as standing:
        assert standing == "open"
        assert await rows(sql, "SELECT 1 FROM dead_letters WHERE resolution IS NOT NULL") == []
    found_now = await rows(sql, 'SELECT "offset", resolution FROM dead_letters ORDER BY "offset"')
    assert [row["resolution"] for row in found_now] == ["redriven", None]
    (audit,) = await rows(sql, "SELECT actor, action, detail FROM audit")
    assert (audit["actor"], audit["action"]) == ("ann", "dlq redrive")
    assert audit["detail"] == {
        "cluster": "kafka1", "topic": "events", "partition": 0, "offset": 1,
        "record_time": letter.record_time.isoformat(), "filters": {"reason": "InvalidImage"},
    }  # fmt: skip


async def test_a_body_that_fails_leaves_it_unresolved(store: Store, sql: Sql) -> None:
    await store.write([], [dead_letter(1)])
    letter = await the_one(store, 1)
    with pytest.raises(RuntimeError):
        async with store.resolving(letter, REDRIVE):
            raise RuntimeError
    assert (await the_one(store, 1)).resolution is None
    assert await rows(sql, "SELECT 1 FROM audit") == []


async def test_what_is_resolved_already_stays_as_it_is(store: Store, sql: Sql) -> None:
    await store.write([], [dead_letter(1, source="cam", event_id="one")])
    letter = await the_one(store, 1)
    await store.write([score(2, "one")], [])
    async with store.resolving(letter, REDRIVE) as standing:
        assert standing == "scored"
    assert (await the_one(store, 1)).resolution == "scored"
    assert await rows(sql, "SELECT 1 FROM audit") == []


async def test_of_two_at_once_one_has_it_and_the_other_does_not_wait(store: Store, sql: Sql) -> None:
    await store.write([], [dead_letter(1)])
    letter = await the_one(store, 1)
    async with (
        store.resolving(letter, REDRIVE) as mine,
        asyncio.timeout(5),
        store.resolving(letter, REDRIVE) as theirs,
    ):
        assert (mine, theirs) == ("open", "busy")
    assert len(await rows(sql, "SELECT 1 FROM audit")) == 1


async def test_a_score_that_comes_while_it_is_sent_back_resolves_it_for_good(store: Store) -> None:
    """The consumer may be faster than the mark: it waits for it, and then says how it ended."""
    await store.write([], [dead_letter(1, source="cam", event_id="one")])
    letter = await the_one(store, 1)
    async with store.resolving(letter, REDRIVE):
        writing = asyncio.create_task(store.write([score(2, "one")], []))
        await asyncio.wait([writing], timeout=0.2)
    assert (await writing).outcomes == ("scored",)
    assert (await the_one(store, 1)).resolution == "scored"
