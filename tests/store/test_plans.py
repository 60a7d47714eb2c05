"""The questions that come with each batch and each page are answered from indexes, however many rows there are."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.rows import DictRow
from psycopg.sql import SQL, Composable

from schemas.scores import Order, ScoreFilter
from store import group_queries, queries, reading, rows
from store.cursors import Cursor
from store.groups import HORIZON, Group
from store.store import Store
from tests.store.makers import VERSION, asked, dead_letter, score

Sql = psycopg.AsyncConnection[DictRow]


# Ten thousand rows as the store would write them, and as many dead letters, without the time that it takes to.
SCORES: LiteralString = """
INSERT INTO scores (
  source, event_id, label, scored_at, kafka_offset, record_time, model_version, predicted_class, probability, top,
  sha256, format, width, height, bytes, engine, precision, event_time, kafka_topic, kafka_partition, kafka_cluster,
  envelope_digest
)
SELECT
  's' || n % 50, 'e' || n, 'l' || n % 100, scored_at + n * interval '1 ms', n, record_time + n * interval '1 ms',
  model_version, predicted_class, probability, top, sha256, format, width, height, bytes, engine, precision,
  event_time, kafka_topic, kafka_partition, kafka_cluster, envelope_digest
FROM scores, generate_series(1, 10000) AS n
"""
DEAD_LETTERS: LiteralString = """
INSERT INTO dead_letters (
  cluster, topic, partition, "offset", record_time, reason, message, headers, delivery_count, source, event_id
)
SELECT cluster, topic, partition, n, record_time, reason, message, headers, delivery_count, 's', 'e' || n
FROM dead_letters, generate_series(1, 10000) AS n
"""


@pytest.fixture
async def many(store: Store, sql: Sql) -> Sql:
    await store.write([score(0, "e0")], [dead_letter(20_000)])
    await sql.execute(SCORES)
    await sql.execute(DEAD_LETTERS)
    await sql.execute("ANALYZE scores, dead_letters")
    return sql


def scans(node: Mapping[str, Any]) -> set[tuple[str, str]]:
    """(table, index) of each access; the index is empty where the table is read from end to end."""
    own = {(node["Relation Name"], node.get("Index Name", ""))} if "Relation Name" in node else set()
    return own.union(*(scans(child) for child in node.get("Plans", [])))


async def plan(sql: Sql, statement: Composable, values: Mapping[str, Any]) -> set[tuple[str, str]]:
    (row,) = await (await sql.execute(SQL("EXPLAIN (FORMAT JSON) ") + statement, values)).fetchall()
    return scans(row["QUERY PLAN"][0]["Plan"])


@pytest.mark.parametrize("records", [1, 500, 2048])
async def test_decisions_look_up_indexes(many: Sql, records: int) -> None:
    columns = rows.asked_columns([asked(number, f"e{number}") for number in range(records)], [VERSION] * records)
    used = await plan(many, SQL(queries.DECIDE), columns)
    assert {index for table, index in used if table == "scores"} - {"scores_pkey"} == {"scores_record", "scores_event"}
    # Each leads to one row, or to the few of topics made anew.
    assert {index for table, index in used if table == "dead_letters"} <= {"dead_letters_pkey", "dead_letters_record"}


async def test_inserting_looks_up_indexes(many: Sql) -> None:
    columns = rows.score_columns([score(number, f"e{number}") for number in range(500)])
    used = await plan(many, SQL(queries.INSERT_SCORES), {**columns, "asked": 500, "channel": "c"})
    assert ("scores", "scores_record") in used
    assert ("dead_letters", "dead_letters_event") in used


def rows_read(node: Mapping[str, Any]) -> int:
    """Rows of tables that a plan has touched, those that it threw away included."""
    own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    below = sum(rows_read(child) for child in node.get("Plans", []))
    return below + (int(own) if "Relation Name" in node else 0)


@pytest.mark.parametrize("topic", ["events", "another"])
async def test_the_limit_reads_no_more_than_the_last_minutes(many: Sql, topic: str) -> None:
    await many.execute("UPDATE scores SET scored_at = now() - interval '1 day' WHERE kafka_offset % 100 > 0")
    await many.execute("UPDATE dead_letters SET failed_at = now() - interval '1 day' WHERE \"offset\" % 100 > 0")
    await many.execute("VACUUM ANALYZE scores, dead_letters")
    asked = {**asdict(Group("kafka1", topic, "g")), "window": 1000, "horizon": HORIZON}
    explain = SQL("EXPLAIN (ANALYZE, FORMAT JSON) ") + SQL(group_queries.RECENT)
    (row,) = await (await many.execute(explain, asked)).fetchall()
    assert ("scores", "") not in scans(row["QUERY PLAN"][0]["Plan"])
    assert ("dead_letters", "") not in scans(row["QUERY PLAN"][0]["Plan"])
    assert rows_read(row["QUERY PLAN"][0]["Plan"]) <= 2 * 102


async def test_a_dead_letter_is_found_by_its_place(many: Sql) -> None:
    found = await plan(
        many,
        SQL(
            'SELECT * FROM dead_letters WHERE topic = %(topic)s AND partition = %(partition)s AND "offset" = %(offset)s'
        ),
        {"topic": "events", "partition": 0, "offset": 77},
    )
    assert found == {("dead_letters", "dead_letters_record")}


PAGES: tuple[tuple[ScoreFilter, Order, str], ...] = (
    (ScoreFilter(), "newest", "scores_newest"),
    (ScoreFilter(since=datetime(2020, 1, 1, tzinfo=UTC)), "newest", "scores_newest"),
    (ScoreFilter(), "oldest", "scores_committed"),
    (ScoreFilter(label="l7"), "newest", "scores_label"),
    (ScoreFilter(source="s7"), "newest", "scores_source"),
    (ScoreFilter(event_id="e7"), "newest", "scores_event"),
    (ScoreFilter(model_version="unknown"), "newest", "scores_model"),
)


async def test_pages_read_the_index_of_their_order_or_filter(many: Sql) -> None:
    for where, order, index in PAGES:
        after = Cursor("2030-01-01T00:00:00+00:00" if order == "newest" else "0", 5)
        used = await plan(many, *reading.page_query(reading.Question(where, order), after, 50))
        assert used == {("scores", index)}, where
