"""Two consumers at once: the second waits for the first and then judges by what it committed."""

import asyncio

import psycopg
import pytest
from psycopg.rows import DictRow

from store.decisions import NewScore
from store.store import Store
from tests.store.looking import rows, until_blocked
from tests.store.makers import at, dead_letter, score
from tests.store.rival import open_rival

Sql = psycopg.AsyncConnection[DictRow]


@pytest.mark.parametrize(
    ("theirs", "ours", "outcome"),
    [
        (score(1, digest="d1"), score(1, digest="d1"), "redelivered"),
        (score(1, digest="d1"), score(at(1, partition=1), digest="d1"), "duplicate"),
        (score(1, digest="d1"), score(at(1, partition=1), digest="d2"), "conflict"),
    ],
)
async def test_the_second_of_two_writers_is_judged_by_the_first_ones_row(
    store: Store, sql: Sql, migrated_url: str, theirs: NewScore, ours: NewScore, outcome: str
) -> None:
    async with open_rival(migrated_url) as rival:
        await rival.write([theirs])
        writing = asyncio.create_task(store.write([score(50, "fresh"), ours], []))
        await until_blocked(sql, rival.pid)
        await rival.commit()
        assert (await writing).outcomes == ("scored", outcome)


async def test_a_rolled_back_rival_was_never_there(store: Store, sql: Sql, migrated_url: str) -> None:
    async with open_rival(migrated_url) as rival:
        await rival.write([score(1, digest="d1")])
        writing = asyncio.create_task(store.write([score(2, digest="d2")], []))
        await until_blocked(sql, rival.pid)
        await rival.roll_back()
        assert (await writing).outcomes == ("scored",)


async def test_a_record_that_a_rival_dead_letters_is_not_scored(store: Store, sql: Sql, migrated_url: str) -> None:
    async with open_rival(migrated_url) as rival:
        await rival.write([], [dead_letter(1)])
        writing = asyncio.create_task(store.write([score(1)], []))
        await until_blocked(sql, rival.pid)
        await rival.commit()
        assert (await writing).outcomes == ("redelivered",)
    assert await rows(sql, "SELECT FROM scores") == []


async def test_a_record_that_a_rival_scores_is_not_dead_lettered(store: Store, sql: Sql, migrated_url: str) -> None:
    async with open_rival(migrated_url) as rival:
        await rival.write([score(1)])
        writing = asyncio.create_task(store.write([], [dead_letter(1)]))
        await until_blocked(sql, rival.pid)
        await rival.commit()
        assert (await writing).dead_letters == ("redelivered",)
    assert await rows(sql, "SELECT FROM dead_letters") == []


async def test_writers_of_different_partitions_do_not_wait_for_each_other(store: Store, migrated_url: str) -> None:
    async with open_rival(migrated_url) as rival:
        await rival.write([score(1, "one")], [dead_letter(2)])
        written = await asyncio.wait_for(store.write([score(at(1, partition=1), "two")], []), 5)
        assert written.outcomes == ("scored",)


async def test_writers_with_the_same_events_in_opposite_orders_both_end(store: Store, sql: Sql) -> None:
    events = [f"event {number}" for number in range(40)]
    for round_ in range(5):
        first = [
            score(at(place, partition=0, topic=f"t{round_}"), name, source=f"s{round_}")
            for place, name in enumerate(events)
        ]
        second = [
            score(at(place, partition=1, topic=f"t{round_}"), name, source=f"s{round_}")
            for place, name in enumerate(events)
        ]
        letters = [dead_letter(at(1000 + place, partition=place % 3, topic=f"t{round_}")) for place in range(20)]
        one, two = await asyncio.gather(store.write(first, letters), store.write(second[::-1], letters[::-1]))
        outcomes = list(zip(one.outcomes, two.outcomes[::-1], strict=True))
        assert set(outcomes) <= {("scored", "duplicate"), ("duplicate", "scored")}
        assert {*zip(one.dead_letters, two.dead_letters[::-1], strict=True)} <= {
            ("dead_lettered", "redelivered"), ("redelivered", "dead_lettered"),
        }  # fmt: skip
    (row,) = await rows(sql, "SELECT (SELECT count(*) FROM scores) s, (SELECT count(*) FROM dead_letters) d")
    assert row == {"s": 200, "d": 100}
