"""One look at a group, with the ages that only the records themselves can tell."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from broker.groups import Groups
from broker.samples import Place
from errors import ScorerError
from monitor.observer import Observer
from schemas.lag import LagReport
from settings import KafkaSettings

_RECORDS: Final = 10
"""Records that are read in one look: each may be as large as an image."""
_READING_S: Final = 1.0


def silence_s(settings: KafkaSettings) -> float:
    """Session timeout and heartbeat interval (a quarter of it): who is silent for longer is gone."""
    return settings.kafka_session_timeout_s * 1.25


def group_and_topics(settings: KafkaSettings, group_id: str | None) -> tuple[str, Collection[str]]:
    """Our group is looked at on our topic; another one (`group_id`) on all that it has committed or is assigned."""
    ours = group_id in (None, settings.kafka_group_id)
    return group_id or settings.kafka_group_id, (settings.kafka_topic,) if ours else ()


async def look(groups: Groups, observer: Observer, group_id: str, topics: Collection[str]) -> LagReport:
    """Raises what `Groups.look` raises. A record that cannot be read leaves an age unknown."""
    wanted = observer.take(await groups.look(group_id, topics))[:_RECORDS]
    found: dict[Place, float] = {}
    with suppress(TimeoutError, ScorerError):
        async with asyncio.timeout(_READING_S):
            for place, offset in wanted:
                at = await groups.timestamp(place, offset)
                if at is not None:
                    found[place] = at
    return observer.report(found)
