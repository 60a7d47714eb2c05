"""What Kafka knows of a consumer group, in one look of few requests."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from broker.asking import Asking, open_asking
from broker.coordinators import Coordinators
from broker.logs import Logs
from broker.samples import GroupSample, Member, PartitionSample, Place
from errors import UsageError
from settings import KafkaSettings

_DEAD: Final = "Dead"
"""No such group; or one of the protocol of KIP-848, which the requests that we know do not describe."""
R = TypeVar("R")


class Groups:
    """Looks at groups. Every method ends within the timeout that it was opened with.

    Each raises BrokerUnavailable when Kafka does not answer, and UsageError, which names what is missing, where it
    refuses, or where the group or the topic does not exist.
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._coordinators = Coordinators(asking)
        self._logs = Logs(asking)

    async def look(self, group_id: str, topics: Collection[str] = ()) -> GroupSample:
        """The group on `topics`, and on those that its members have; without `topics` on all that it has committed.

        A partition that the group has not committed is there with its log.
        """
        return await self._settled(lambda: self._look(group_id, topics))

    async def committed(self, group_id: str) -> dict[Place, tuple[int, str]]:
        """Offset and metadata of each partition that the group has committed; empty also where there is no group."""
        return await self._settled(lambda: self._coordinators.committed(group_id))

    async def members(self, group_id: str) -> tuple[Member, ...] | None:
        """Who is in the group; None where Kafka knows no such group."""
        state, members = await self._settled(lambda: self._coordinators.members(group_id))
        return None if state == _DEAD else members

    async def timestamp(self, place: Place, offset: int) -> float | None:
        """When the record at `offset`, or the next one that is there, was written (seconds since 1970).

        None where there is none. It costs one batch of records as the producer made it. `place` must have been looked
        at.
        """
        return await self._settled(lambda: self._logs.timestamp(place, offset))

    async def _settled(self, attempt: Callable[[], Awaitable[R]]) -> R:
        return await self._asking.settled(attempt, self._forget)

    def _forget(self) -> None:
        self._coordinators.forget()
        self._logs.forget()

    async def _look(self, group_id: str, topics: Collection[str]) -> GroupSample:
        committed, (state, members) = await asyncio.gather(
            self._coordinators.committed(group_id), self._coordinators.members(group_id)
        )
        if state == _DEAD and not committed:
            raise UsageError(await self._nothing_known(group_id))
        owners = {place: f"{member.name}@{member.host}" for member in members for place in member.places}
        assigned = {place.topic for place in owners}
        known = set(topics) | assigned | (set() if topics else {place.topic for place in committed})
        places = await self._logs.partitions(known, required=topics)
        beginnings, ends = await asyncio.gather(self._logs.beginnings(places), self._logs.ends(places))
        partitions = tuple(
            PartitionSample(
                place,
                beginnings[place],
                ends[place],
                committed[place][0] if place in committed else None,
                committed[place][1] if place in committed else "",
                owners.get(place),
            )
            for place in places
        )
        told = state != _DEAD
        return GroupSample(
            group_id, self._logs.cluster_id, time.time(), state if told else None, members if told else None, partitions
        )

    async def _nothing_known(self, group_id: str) -> str:
        if await self._coordinators.lists(group_id):
            return f"consumer group {group_id} has committed nothing yet, and Kafka does not tell us its members"
        return f"consumer group {group_id} does not exist on {self._asking.servers}"


@asynccontextmanager
async def open_groups(settings: KafkaSettings, *, timeout_s: float = 10.0) -> AsyncIterator[Groups]:
    """Connected, and closed at the end. Raises BrokerUnavailable, and UsageError when no broker is named."""
    async with open_asking(settings, timeout_s=timeout_s) as asking:
        yield Groups(asking)
