"""What holds for a whole consumer group: what its limit counts, and that a stop stays until somebody resumes it."""

from dataclasses import asdict

import psycopg
from psycopg.rows import DictRow

from store.groups import Deed, Group
from store.store import Store
from tests.store.looking import rows
from tests.store.makers import at, dead_letter, score

Sql = psycopg.AsyncConnection[DictRow]
GROUP = Group("kafka1", "events", "scorers")


async def test_a_stop_stays_and_keeps_its_first_reason(store: Store, sql: Sql) -> None:
    assert await store.stopped(GROUP) is None
    await store.stop_group(GROUP, "too many")
    await store.stop_group(GROUP, "again")
    stop = await store.stopped(GROUP)
    assert stop is not None
    assert stop.why == "too many"
    assert await store.stopped(Group("kafka1", "events", "others")) is None
    assert (await store.recent(GROUP, 10)).stopped
    assert await rows(sql, "SELECT actor, action, detail FROM audit") == [
        {"actor": "consumer", "action": "dlq limit", "detail": {**asdict(GROUP), "why": "too many"}}
    ]


async def test_a_resumed_group_runs_and_counts_from_zero(store: Store, sql: Sql) -> None:
    await store.write([], [dead_letter(1)])
    assert not await store.resume_group(GROUP, "ann")
    await store.stop_group(GROUP, "too many")
    assert await store.resume_group(GROUP, "ann")
    assert not await store.resume_group(GROUP, "ann")
    assert await store.stopped(GROUP) is None
    assert (await store.recent(GROUP, 10)).reasons == ()
    assert (await store.recent(Group("kafka1", "events", "others"), 10)).reasons == ("InvalidImage",)
    await store.write([], [dead_letter(2, reason="InvalidEvent")])
    assert (await store.recent(GROUP, 10)).reasons == ("InvalidEvent",)
    assert [row["action"] for row in await rows(sql, "SELECT action FROM audit ORDER BY id")] == [
        "dlq limit",
        "dlq resume",
    ]
    await store.stop_group(GROUP, "once more")
    stop = await store.stopped(GROUP)
    assert stop is not None
    assert stop.why == "once more"


async def test_only_the_last_records_of_this_topic_and_cluster_count_newest_first(store: Store) -> None:
    await store.write([], [dead_letter(1, reason="First")])
    await store.write([score(2, "two")], [dead_letter(at(1, topic="others")), dead_letter(at(1, cluster="kafka2"))])
    await store.write([], [dead_letter(3, reason="Third")])
    assert (await store.recent(GROUP, 10)).reasons == ("Third", None, "First")
    assert (await store.recent(GROUP, 2)).reasons == ("Third", None)
    assert not (await store.recent(GROUP, 2)).stopped


async def test_dead_letters_count_for_ten_minutes(store: Store, sql: Sql) -> None:
    await store.write([score(2, "two")], [dead_letter(1)])
    assert set((await store.recent(GROUP, 10)).reasons) == {"InvalidImage", None}
    await sql.execute("UPDATE dead_letters SET failed_at = failed_at - interval '9 minutes 30 seconds'")
    assert (await store.recent(GROUP, 10)).reasons == (None, "InvalidImage")
    await sql.execute("UPDATE dead_letters SET failed_at = failed_at - interval '31 seconds'")
    assert (await store.recent(GROUP, 10)).reasons == (None,)


async def test_one_transaction_larger_than_the_window_counts_by_its_share(store: Store) -> None:
    letters = [dead_letter(number) for number in range(25)]
    await store.write([score(number, str(number)) for number in range(100, 175)], letters)
    seen = (await store.recent(GROUP, 40)).reasons
    assert len(seen) == 40
    assert 9 <= sum(reason is not None for reason in seen) <= 11


async def test_a_pause_holds_until_it_is_ended_and_keeps_who_began_it(store: Store, sql: Sql) -> None:
    assert await store.paused(GROUP) is None
    assert not await store.unpause_group(GROUP, "ann")
    first, new = await store.pause_group(GROUP, "ann", "broken\x00 deploy")
    assert (new, first.by, first.why) == (True, "ann", "broken\ufffd deploy")
    assert await store.pause_group(GROUP, "bob", "another") == (first, False)
    assert await store.paused(GROUP) == first
    assert str(first) == f"paused by ann since {first.at:%Y-%m-%dT%H:%M:%SZ}: broken\ufffd deploy"
    assert await store.paused(Group("kafka1", "events", "others")) is None
    assert await store.unpause_group(GROUP, "bob")
    assert not await store.unpause_group(GROUP, "bob")
    assert await store.paused(GROUP) is None
    again, new = await store.pause_group(GROUP, "ann", None)
    assert new
    assert str(again) == f"paused by ann since {again.at:%Y-%m-%dT%H:%M:%SZ}"
    assert await rows(sql, "SELECT actor, action, detail FROM audit ORDER BY id") == [
        {"actor": "ann", "action": "pause", "detail": {**asdict(GROUP), "why": "broken\ufffd deploy"}},
        {"actor": "bob", "action": "resume", "detail": asdict(GROUP)},
        {"actor": "ann", "action": "pause", "detail": {**asdict(GROUP), "why": None}},
    ]


async def test_a_pause_and_the_stop_by_the_limit_end_apart(store: Store) -> None:
    await store.pause_group(GROUP, "ann", None)
    await store.stop_group(GROUP, "too many")
    assert await store.unpause_group(GROUP, "ann")
    assert await store.stopped(GROUP) is not None
    await store.pause_group(GROUP, "ann", None)
    assert await store.resume_group(GROUP, "ann")
    assert await store.paused(GROUP) is not None


async def test_what_is_done_to_a_group_in_kafka_is_kept_with_who_did_it(store: Store, sql: Sql) -> None:
    await store.audit(GROUP, Deed("ann", "offsets reset", {"to_offset": 3}))
    assert await rows(sql, "SELECT actor, action, detail FROM audit") == [
        {"actor": "ann", "action": "offsets reset", "detail": {**asdict(GROUP), "to_offset": 3}}
    ]
