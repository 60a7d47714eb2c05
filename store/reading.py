"""Queries over scores: one event, a page, all of them in chunks.

What an order promises while others write:

- *newest*: a page holds everything that was committed when it was read, by `scored_at`, then by number. Rows that are
  committed while a reader pages stand before its first page; it meets them by beginning again.
- *oldest*: in the order of writing transactions, and only of those before which nothing can come any more. A reader
  that keeps its cursor misses nothing and sees nothing twice, however late a transaction commits. The price: the
  newest rows appear once every transaction that began before them has ended (on the whole server).

`scored_at` is when the writing transaction began, so a time window (`since`, `until`) is complete a little after its
end: at most by the limit for one statement, after which the server or we give a writer up.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from schemas.scores import Order, Score, ScoreFilter
from store import queries, texts
from store.connections import Connections
from store.cursors import Cursor
from store.filters import conditions
from store.rows import Row, score_of

_ORDERS: dict[Order, tuple[LiteralString, LiteralString, LiteralString]] = {
    # visible, after the cursor, order
    "newest": (
        "true",
        "(scored_at, seq) < (%(after)s::timestamptz, %(after_seq)s)",
        "scored_at DESC, seq DESC",
    ),
    "oldest": (
        "xact < pg_snapshot_xmin(pg_current_snapshot())",
        "(xact, seq) > (%(after)s::xid8, %(after_seq)s)",
        "xact, seq",
    ),
}


@dataclass(frozen=True, slots=True)
class Question:
    """Which scores, and in which order."""

    where: ScoreFilter
    order: Order


async def find(
    connection: AsyncConnection, event_id: str, source: str | None, model_version: str | None
) -> list[Score]:
    """The newest row of each source that has this id, ordered by source."""
    wanted = {
        "event_id": texts.key(event_id),
        "source": None if source is None else texts.key(source),
        "model_version": None if model_version is None else texts.storable(model_version),
    }
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(queries.FIND, wanted)
        return [score_of(row) for row in await cursor.fetchall()]


def page_query(question: Question, after: Cursor | None, limit: int) -> tuple[sql.Composed, dict[str, Any]]:
    """The statement for at most `limit` rows behind `after`, and its parameters."""
    visible, behind, order = _ORDERS[question.order]
    chosen, values = conditions(question.where)
    chosen.append(sql.SQL(visible))
    if after is not None:
        chosen.append(sql.SQL(behind))
        values |= {"after": after.first, "after_seq": after.seq}
    statement = sql.SQL("SELECT {columns} FROM scores WHERE {chosen} ORDER BY {order} LIMIT {limit}").format(
        columns=sql.SQL(queries.SCORE_COLUMNS),
        chosen=sql.SQL(" AND ").join(chosen),
        order=sql.SQL(order),
        limit=sql.Literal(limit),
    )
    return statement, values


async def read(connection: AsyncConnection, question: Question, after: Cursor | None, limit: int) -> Sequence[Row]:
    """At most `limit` rows behind `after`."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(*page_query(question, after, limit))
        return await cursor.fetchall()


async def chunks(connections: Connections, where: ScoreFilter, size: int) -> AsyncIterator[list[Score]]:
    """All scores, newest first, in lists of at most `size`: everything committed before the first is in one of them.

    Each chunk is a query of its own: a slow reader holds no connection and no snapshot of the database meanwhile.
    """
    question = Question(where, "newest")
    after: Cursor | None = None
    while True:
        async with connections.use("iterate") as connection:
            found = await read(connection, question, after, size)
        if found:
            yield [score_of(row) for row in found]
            after = place_of(found[-1], "newest")
        if len(found) < size:
            return


def place_of(row: Row, order: Order) -> Cursor:
    """The cursor behind which the next row stands."""
    return Cursor(row["scored_at"].isoformat() if order == "newest" else row["transaction"], row["place"])
