"""Dead letters as an operator handles them: found, read, and resolved one at a time."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, LiteralString

from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from schemas.dead_letters import DeadLetterFilter, Resolution, StoredDeadLetter
from store import queries, texts
from store.connections import Connections
from store.rows import Row, dead_letter_key, dead_letter_of

_CONDITIONS: dict[str, LiteralString] = {
    "reason": "reason = %(reason)s",
    "topic": "topic = %(topic)s",
    "partition": "partition = %(partition)s",
    "since": "failed_at >= %(since)s",
    "until": "failed_at < %(until)s",
    "cluster": "cluster = %(cluster)s",
}
Order = Literal["newest", "oldest"]
_ORDERS: dict[Order, tuple[LiteralString, LiteralString]] = {
    "newest": ("(failed_at, seq) < (%(after)s, %(after_seq)s)", "failed_at DESC, seq DESC"),
    "oldest": ("(failed_at, seq) > (%(after)s, %(after_seq)s)", "failed_at, seq"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stood, as an operator names it. Without its time it may name several records: topics made anew."""

    topic: str
    partition: int
    offset: int
    record_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a dead letter, and who says so."""

    resolution: Resolution
    actor: str
    action: str
    """As the audit names it, e.g. dlq redrive."""
    detail: dict[str, Any]
    """What the audit keeps beside the coordinates: how the dead letter was chosen."""


Standing = Literal["open", "busy"] | Resolution
"""open: it is ours to resolve. busy: another holds it at this moment, or it is gone. Else: what it was resolved as."""


async def chunks(
    connections: Connections, where: DeadLetterFilter, order: Order, size: int
) -> AsyncIterator[list[StoredDeadLetter]]:
    """What matches now, in lists of at most `size`; dead letters that come meanwhile are left out.

    Each chunk is a query of its own: whoever takes long over one holds no connection meanwhile.
    """
    chosen, values = _conditions(where)
    behind, sorting = _ORDERS[order]
    async with connections.use("dead_letters") as connection:
        (now,) = await (await connection.execute(queries.NOW)).fetchone() or (None,)
    chosen.append(sql.SQL("failed_at <= %(now)s"))
    values["now"] = now
    while True:
        async with connections.use("dead_letters") as connection:
            found = await _read(connection, chosen, values, sql.SQL(" ORDER BY {} LIMIT {}").format(
                sql.SQL(sorting), sql.Literal(size)
            ))  # fmt: skip
        if found:
            yield [dead_letter_of(row) for row in found]
            if "after" not in values:
                chosen.append(sql.SQL(behind))
            values |= {"after": found[-1]["failed_at"], "after_seq": found[-1]["place"]}
        if len(found) < size:
            return


async def at(connection: AsyncConnection, place: Place) -> list[StoredDeadLetter]:
    """The dead letters that `place` names: usually one."""
    chosen: list[sql.Composable] = [
        sql.SQL('topic = %(topic)s AND partition = %(partition)s AND "offset" = %(offset)s')
    ]
    if place.record_time is not None:
        chosen.append(sql.SQL("record_time = %(record_time)s"))
    asked = {
        "topic": texts.storable(place.topic),
        "partition": place.partition,
        "offset": place.offset,
        "record_time": place.record_time,
    }
    rows = await _read(connection, chosen, asked, sql.SQL(" ORDER BY record_time, cluster"))
    return [dead_letter_of(row) for row in rows]


async def value(connection: AsyncConnection, letter: StoredDeadLetter) -> bytes | None:
    """What the row keeps of the record's value: all of it, or nothing where it is large."""
    found = await (await connection.execute(queries.DEAD_LETTER_VALUE, dead_letter_key(letter))).fetchone()
    return None if found is None else found[0]


@asynccontextmanager
async def resolving(connection: AsyncConnection, letter: StoredDeadLetter, verdict: Verdict) -> AsyncIterator[Standing]:
    """Holds the dead letter while the body acts on it, and marks it with an audit row when the body is done.

    Only where the standing is "open": otherwise nothing changes. A body that raises leaves it unresolved.
    """
    key = dead_letter_key(letter)
    async with connection.transaction():
        found = await (await connection.execute(queries.LOCK_DEAD_LETTER, key)).fetchone()
        standing: Standing = "busy" if found is None else found[0] or "open"
        yield standing
        if standing == "open":
            where = {**key, "record_time": letter.record_time.isoformat()}
            asked = {
                **key,
                "resolution": verdict.resolution,
                "actor": texts.storable(verdict.actor),
                "action": verdict.action,
                "detail": json.dumps({**where, **verdict.detail}),
            }
            await connection.execute(queries.RESOLVE_DEAD_LETTER, asked)


def _conditions(where: DeadLetterFilter) -> tuple[list[sql.Composable], dict[str, Any]]:
    values = where.model_dump(exclude_none=True, exclude={"unresolved"})
    chosen: list[sql.Composable] = [sql.SQL(_CONDITIONS[name]) for name in values]
    if where.unresolved:
        chosen.append(sql.SQL("resolution IS NULL"))
    return chosen, {name: texts.storable(given) if isinstance(given, str) else given for name, given in values.items()}


async def _read(
    connection: AsyncConnection, chosen: Sequence[sql.Composable], values: dict[str, Any], tail: sql.Composable
) -> Sequence[Row]:
    statement = sql.SQL("SELECT {} FROM dead_letters WHERE {}{}").format(
        sql.SQL(queries.DEAD_LETTER_COLUMNS), sql.SQL(" AND ").join(chosen), tail
    )
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall()
