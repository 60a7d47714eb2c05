"""Pages: complete, without repetition, and in an order that holds while others write."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import DictRow

from schemas.scores import Order, Score, ScoreFilter
from store.cursors import InvalidCursor
from store.store import Store
from tests.store.looking import rows
from tests.store.makers import at, score
from tests.store.rival import open_rival

Sql = psycopg.AsyncConnection[DictRow]
EVERYTHING = ScoreFilter()
ORDERS: tuple[Order, Order] = ("newest", "oldest")


async def fill(store: Store, numbers: range, **answer: Any) -> None:
    await store.write([score(number, f"e{number:04}", **answer) for number in numbers], [])


async def all_pages(store: Store, order: Order, limit: int, where: ScoreFilter = EVERYTHING) -> list[Score]:
    found: list[Score] = []
    cursor: str | None = None
    while True:
        page = await store.page(where, order=order, limit=limit, cursor=cursor)
        assert len(page.items) <= limit
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found
        assert len(page.items) == limit


@pytest.mark.parametrize("limit", [1, 7, 20, 21, 100])
@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_pages_hold_each_score_once_in_order(store: Store, order: Order, limit: int) -> None:
    for start in range(0, 20, 5):
        await fill(store, range(start, start + 5))
    found = await all_pages(store, order, limit)
    assert [one.event_id for one in found] == sorted((one.event_id for one in found), reverse=order == "newest")
    assert {one.event_id for one in found} == {f"e{number:04}" for number in range(20)}
    assert len(found) == 20


async def test_newest_pages_are_complete_while_others_write(store: Store) -> None:
    await fill(store, range(60))
    more = asyncio.create_task(_keep_writing(store, range(1000, 1060)))
    found = [one.event_id for one in await all_pages(store, "newest", 3)]
    await more
    assert len(found) == len(set(found))
    assert {f"e{number:04}" for number in range(60)} <= set(found)


async def _keep_writing(store: Store, numbers: range) -> None:
    for number in numbers:
        await fill(store, range(number, number + 1))


async def test_in_order_of_commit_a_late_transaction_is_never_missed(store: Store, migrated_url: str) -> None:
    await fill(store, range(4))
    async with open_rival(migrated_url) as late:
        await late.write([score(at(1, partition=1), "late")])
        await fill(store, range(4, 8))
        first = await store.page(EVERYTHING, order="oldest", limit=3, cursor=None)
        second = await store.page(EVERYTHING, order="oldest", limit=3, cursor=first.next_cursor)
        newest = await store.page(EVERYTHING, order="newest", limit=100, cursor=None)
        await late.commit()
    rest = await store.page(EVERYTHING, order="oldest", limit=100, cursor=first.next_cursor)
    assert [one.event_id for one in first.items] == ["e0000", "e0001", "e0002"]
    assert ([one.event_id for one in second.items], second.next_cursor) == (["e0003"], None)
    assert len(newest.items) == 8
    assert [one.event_id for one in rest.items] == ["e0003", "late", "e0004", "e0005", "e0006", "e0007"]


async def test_transactions_are_ordered_by_number_not_as_text(store: Store, sql: Sql) -> None:
    for number in range(3):
        await fill(store, range(number, number + 1))
    await sql.execute("UPDATE scores SET xact = (98 + kafka_offset)::text::xid8")
    assert [one.event_id for one in await all_pages(store, "oldest", 1)] == ["e0000", "e0001", "e0002"]


async def test_a_reader_in_order_of_commit_sees_all_that_concurrent_writers_write(store: Store) -> None:
    async def writer(name: str) -> None:
        for number in range(15):
            await store.write([score(at(number, topic=name), f"{name}{number}")], [])

    async def follow() -> list[str]:
        seen: list[str] = []
        cursor: str | None = None
        while len(seen) < 61:
            page = await store.page(EVERYTHING, order="oldest", limit=1, cursor=cursor)
            if page.next_cursor is None:
                await asyncio.sleep(0)
                if writers.done():
                    return seen + [one.event_id for one in page.items]
                continue
            seen += [one.event_id for one in page.items]
            cursor = page.next_cursor
        return seen

    writers = asyncio.gather(*(writer(name) for name in "abcd"))
    seen = await follow()
    await writers
    rest = await all_pages(store, "oldest", 100)
    assert seen == [one.event_id for one in rest][: len(seen)]
    assert len(rest) == 60


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (ScoreFilter(source="b"), {"3"}),
        (ScoreFilter(event_id="2"), {"2"}),
        (ScoreFilter(label="cat"), {"1", "3"}),
        (ScoreFilter(predicted_class=281), {"1", "2", "3"}),
        (ScoreFilter(predicted_class=0), set()),
        (ScoreFilter(min_probability=0.5), {"2", "3"}),
        (ScoreFilter(max_probability=0.5), {"1", "2"}),
        (ScoreFilter(model_version="v2"), {"3"}),
        (ScoreFilter(label="cat", source="a", max_probability=1), {"1"}),
        (ScoreFilter(label="'; DROP TABLE scores; --\x00%s"), set()),
    ],
)
async def test_filters_hold_all_at_once(store: Store, where: ScoreFilter, expected: set[str]) -> None:
    await store.write(
        [
            score(1, "1", source="a", label="cat", probability=0.25),
            score(2, "2", source="a", label="dog", probability=0.5),
            score(3, "3", source="b", label="cat", probability=1.0, version="v2"),
        ],
        [],
    )
    for order in ORDERS:
        assert {one.event_id for one in await all_pages(store, order, 1, where)} == expected


async def test_since_is_inside_and_until_is_outside(store: Store) -> None:
    times: list[datetime] = [(await store.write([score(n, str(n))], [])).scored_at for n in range(3)]
    where = ScoreFilter(since=times[0], until=times[2])
    assert [one.event_id for one in await all_pages(store, "oldest", 10, where)] == ["0", "1"]
    just_after = ScoreFilter(since=times[0] + timedelta(microseconds=1))
    assert [one.event_id for one in await all_pages(store, "oldest", 10, just_after)] == ["1", "2"]


async def test_a_cursor_of_another_question_is_refused(store: Store) -> None:
    await fill(store, range(3))
    cursor = (await store.page(EVERYTHING, order="newest", limit=1, cursor=None)).next_cursor
    with pytest.raises(InvalidCursor, match="belongs to order=newest, not oldest"):
        await store.page(EVERYTHING, order="oldest", limit=1, cursor=cursor)
    with pytest.raises(InvalidCursor, match="belongs to other filters"):
        await store.page(ScoreFilter(label="tabby"), order="newest", limit=1, cursor=cursor)


async def test_all_scores_come_in_bounded_chunks(store: Store, sql: Sql) -> None:
    await fill(store, range(25))
    sizes, found = [], []
    async for chunk in store.iterate(EVERYTHING, chunk=10):
        sizes.append(len(chunk))
        found += [one.event_id for one in chunk]
        busy = await rows(
            sql, "SELECT FROM pg_stat_activity WHERE application_name = 'streamscorer' AND state LIKE 'idle in%%'"
        )
        assert busy == []
    assert sizes == [10, 10, 5]
    assert sorted(found) == [f"e{number:04}" for number in range(25)]


async def test_an_empty_answer_has_no_chunks_and_one_empty_page(store: Store) -> None:
    assert [chunk async for chunk in store.iterate(EVERYTHING)] == []
    page = await store.page(EVERYTHING, order="newest", limit=5, cursor=None)
    assert (page.items, page.next_cursor) == ([], None)


async def test_iterating_ends_though_others_go_on_writing(store: Store) -> None:
    await fill(store, range(10))
    count = 0
    async for chunk in store.iterate(EVERYTHING, chunk=2):
        count += len(chunk)
        await fill(store, range(100 + count * 10, 105 + count * 10))
    assert count == 10
