"""What holds for all members of a consumer group, and survives their restarts: the stop by the dead-letter limit, the
operator's pause; and the audit of what an operator does to a group.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from store import group_queries, texts

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
class Pause:
    """Since when the group may poll nothing, and who says so."""

    at: datetime
    by: str
    why: str | None

    def __str__(self) -> str:
        return f"paused by {self.by} since {self.at:%Y-%m-%dT%H:%M:%SZ}" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody does to a group."""

    actor: str
    action: str
    """As the audit names it, e.g. offsets reset."""
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recent:
    """The last decided records of the group's topic, by whichever group, and whether the group is stopped."""

    stopped: bool
    reasons: tuple[str | None, ...]
    """Newest first: the reason of a dead letter, None for a score."""


async def stopped(connection: AsyncConnection, group: Group) -> Stop | None:
    """Why the group may not run; None when it may."""
    found = await (await connection.execute(group_queries.STOPPED, asdict(group))).fetchone()
    return None if found is None else Stop(why=found[1], at=found[0])


async def recent(connection: AsyncConnection, group: Group, window: int) -> Recent:
    """At most `window` records, none from before the horizon or before the group was last let go on."""
    asked = {**asdict(group), "window": window, "horizon": HORIZON}
    found = await (await connection.execute(group_queries.RECENT, asked)).fetchone()
    assert found is not None
    return Recent(stopped=found[0], reasons=tuple(found[1]))


async def stop(connection: AsyncConnection, group: Group, why: str) -> None:
    """Stops the group, with an audit row; one that is stopped already keeps its reason."""
    why = texts.shortened(why, texts.MESSAGE_CHARS)
    await connection.execute(group_queries.STOP_GROUP, {**asdict(group), "why": why, "detail": _detail(group, why=why)})


async def resume(connection: AsyncConnection, group: Group, actor: str) -> bool:
    """Lets the group go on, counting from zero, with an audit row; False when it was not stopped."""
    asked = {**asdict(group), "actor": texts.storable(actor), "detail": _detail(group)}
    return await (await connection.execute(group_queries.RESUME_GROUP, asked)).fetchone() is not None


async def paused(connection: AsyncConnection, group: Group) -> Pause | None:
    """The operator's pause; None when there is none."""
    found = await (await connection.execute(group_queries.PAUSED, asdict(group))).fetchone()
    return None if found is None else Pause(*found)


async def pause(connection: AsyncConnection, group: Group, actor: str, why: str | None) -> tuple[Pause, bool]:
    """Pauses the group, with an audit row. The pause that holds now, and whether it is this one."""
    actor = texts.storable(actor)
    why = texts.shortened(why, texts.MESSAGE_CHARS) if why else None
    asked = {**asdict(group), "actor": actor, "why": why, "detail": _detail(group, why=why)}
    while True:
        if (new := await (await connection.execute(group_queries.PAUSE_GROUP, asked)).fetchone()) is not None:
            return Pause(new[0], actor, why), True
        if (known := await paused(connection, group)) is not None:
            return known, False
        # It was resumed between the two.


async def unpause(connection: AsyncConnection, group: Group, actor: str) -> bool:
    """Ends the operator's pause, with an audit row; False when there was none."""
    asked = {**asdict(group), "actor": texts.storable(actor), "detail": _detail(group)}
    return await (await connection.execute(group_queries.UNPAUSE_GROUP, asked)).fetchone() is not None


async def audit(connection: AsyncConnection, group: Group, deed: Deed) -> None:
    """Keeps what somebody does to the group in Kafka, where it leaves no row."""
    asked = {"actor": texts.storable(deed.actor), "action": deed.action, "detail": _detail(group, **deed.detail)}
    await connection.execute(group_queries.INSERT_AUDIT, asked)


def _detail(group: Group, **more: Any) -> str:
    return json.dumps({**asdict(group), **more})
