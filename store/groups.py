"""What holds for all members of a consumer group, and survives their restarts: the stop by the dead-letter limit."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from store import queries, texts

HORIZON = timedelta(minutes=10)
"""Dead letters further back no longer count towards the limit."""


@dataclass(frozen=True, slots=True)
class Group:
    """A consumer group on one topic of one cluster."""

    cluster: str
    topic: str
    group_id: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Why the group was stopped, and when."""

    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Recent:
    """The last decided records of the group's topic, by whichever group, and whether the group is stopped."""

    stopped: bool
    reasons: tuple[str | None, ...]
    """Newest first: the reason of a dead letter, None for a score."""


async def stopped(connection: AsyncConnection, group: Group) -> Stop | None:
    """Why the group may not run; None when it may."""
    found = await (await connection.execute(queries.STOPPED, asdict(group))).fetchone()
    return None if found is None else Stop(why=found[1], at=found[0])


async def recent(connection: AsyncConnection, group: Group, window: int) -> Recent:
    """At most `window` records, none from before the horizon or before the group was last let go on."""
    asked = {**asdict(group), "window": window, "horizon": HORIZON}
    found = await (await connection.execute(queries.RECENT, asked)).fetchone()
    assert found is not None
    return Recent(stopped=found[0], reasons=tuple(found[1]))


async def stop(connection: AsyncConnection, group: Group, why: str) -> None:
    """Stops the group, with an audit row; one that is stopped already keeps its reason."""
    why = texts.shortened(why, texts.MESSAGE_CHARS)
    await connection.execute(queries.STOP_GROUP, {**asdict(group), "why": why, "detail": _detail(group, why=why)})


async def resume(connection: AsyncConnection, group: Group, actor: str) -> bool:
    """Lets the group go on, counting from zero, with an audit row; False when it was not stopped."""
    asked = {**asdict(group), "actor": texts.storable(actor), "detail": _detail(group)}
    return await (await connection.execute(queries.RESUME_GROUP, asked)).fetchone() is not None


def _detail(group: Group, **more: Any) -> str:
    return json.dumps({**asdict(group), **more})
