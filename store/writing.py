"""Hop 6: scores and dead letters in one transaction, each record exactly once."""

import asyncio
import random
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.errors import DeadlockDetected, SerializationFailure

from schemas.dead_letters import DeadLetter
from schemas.records import Coordinates
from store import queries, rows
from store.decisions import Asked, DeadLetterOutcome, Decision, NewScore, ScoreOutcome, Written

_ATTEMPTS = 5
_LOCK_SLOTS = 64

_Key = tuple[str, str, str]
"""Of a score: `rows.identity`."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction writes. `model_version`: whose scores make a dead letter needless (None: anybody's)."""

    scores: Sequence[NewScore]
    dead_letters: Sequence[DeadLetter]
    model_version: str | None
    channel: str


async def decide(connection: AsyncConnection, asked: Sequence[Asked], versions: Sequence[str]) -> list[Decision | None]:
    """One decision a record, in the order asked, from one statement."""
    found = await connection.execute(queries.DECIDE, rows.asked_columns(asked, versions))
    return [decision for (decision,) in await found.fetchall()]


async def write(connection: AsyncConnection, batch: Batch) -> Written:
    """`write_once`, and again where the server ended it for the sake of another transaction."""
    for attempt in range(1, _ATTEMPTS):
        try:
            return await write_once(connection, batch)
        except (DeadlockDetected, SerializationFailure):
            await asyncio.sleep(random.uniform(0.005, 0.02) * 2**attempt)  # noqa: S311  (spreads rivals, no secret)
    return await write_once(connection, batch)


async def write_once(connection: AsyncConnection, batch: Batch) -> Written:
    """One transaction: (1) lock, (2) dead letters, (3) scores, and (4) judge what was not inserted.

    A score is not inserted where a row stands in its way, or an earlier record of the batch has the same key. The
    judgement is a statement of its own, so it sees our own rows and everything committed meanwhile. Where it finds
    nothing (the row was erased, or the earlier record of the batch was a redelivery) the insert is tried again.
    Not seen: the same event with another content, written at this very moment by a consumer of *another* model
    version. Each then gets its row.
    """
    keys = [_key(score) for score in batch.scores]
    outcomes: list[ScoreOutcome | None] = [None] * len(batch.scores)
    async with connection.pipeline(), connection.transaction():
        # 1
        await connection.execute(queries.LOCK_PARTITIONS, _locks(batch))
        now = await connection.execute(queries.NOW)
        # 2
        dead_letters = await _insert_dead_letters(connection, batch)
        # 3
        while pending := [place for place, outcome in enumerate(outcomes) if outcome is None]:
            first = _first_of_each_key(batch.scores, keys, pending)
            inserted = await _insert_scores(connection, [batch.scores[place] for place in first], batch.channel)
            for place in first:
                if inserted is None or keys[place] in inserted:
                    outcomes[place] = "scored"
            # 4
            if rest := [place for place in pending if outcomes[place] is None]:
                for place, decision in zip(rest, await _judge(connection, batch.scores, rest), strict=True):
                    outcomes[place] = decision
        row = await now.fetchone()
    assert row is not None
    return Written(tuple(outcome for outcome in outcomes if outcome is not None), dead_letters, row[0])


async def _insert_dead_letters(connection: AsyncConnection, batch: Batch) -> tuple[DeadLetterOutcome, ...]:
    letters = batch.dead_letters
    outcomes: list[DeadLetterOutcome] = ["redelivered"] * len(letters)
    order = sorted(range(len(letters)), key=lambda place: _coordinates(letters[place]))
    sent = [
        (
            place,
            await connection.execute(
                queries.INSERT_DEAD_LETTER, rows.dead_letter_row(letters[place], batch.model_version)
            ),
        )
        for place in order
    ]
    for place, cursor in sent:
        if await cursor.fetchone() is not None:
            outcomes[place] = "dead_lettered"
    return tuple(outcomes)


async def _insert_scores(connection: AsyncConnection, scores: Sequence[NewScore], channel: str) -> set[_Key] | None:
    """Keys of the scores that became rows; None where all of them did."""
    columns = rows.score_columns(scores)
    found = await connection.execute(queries.INSERT_SCORES, {**columns, "asked": len(scores), "channel": channel})
    row = await found.fetchone()
    assert row is not None
    all_of_them, keys, _ = row
    return None if all_of_them else {(source, event_id, version) for source, event_id, version in keys or ()}


async def _judge(
    connection: AsyncConnection, scores: Sequence[NewScore], places: Iterable[int]
) -> list[Decision | None]:
    chosen = [scores[place] for place in places]
    asked = [Asked(one.at, one.event.source, one.event.id, one.digest) for one in chosen]
    return await decide(connection, asked, [one.prediction.model_version for one in chosen])


def _first_of_each_key(scores: Sequence[NewScore], keys: Sequence[_Key], places: Iterable[int]) -> list[int]:
    """Sorted by key, so that two transactions never wait for each other; the earliest record of each key."""
    order = sorted(places, key=lambda place: (keys[place], scores[place].at.partition, scores[place].at.offset))
    return list({keys[place]: place for place in reversed(order)}.values())[::-1]


def _key(score: NewScore) -> _Key:
    return rows.identity(score.event.source, score.event.id, score.prediction.model_version)


def _coordinates(letter: DeadLetter) -> tuple[str, str, int, int, int]:
    at = letter.record.at
    return at.cluster, at.topic, at.partition, at.offset, at.timestamp_ms


def _locks(batch: Batch) -> dict[str, list[int] | list[bool]]:
    """Slots of the batch's partitions, and which of them it takes alone: see `queries.LOCK_PARTITIONS`."""
    alone = dict.fromkeys(_slots(letter.record.at for letter in batch.dead_letters), True)
    slots = dict.fromkeys(_slots(score.at for score in batch.scores), False) | alone
    return {"slot": sorted(slots), "alone": [slots[slot] for slot in sorted(slots)]}


def _slots(places: Iterable[Coordinates]) -> set[int]:
    partitions = {(at.cluster, at.topic, at.partition) for at in places}
    return {
        zlib.crc32(f"{cluster}/{topic}/{partition}".encode()) % _LOCK_SLOTS for cluster, topic, partition in partitions
    }
