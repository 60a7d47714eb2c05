"""What the leaders of partitions know: where their logs begin and end, and when a record was written."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, Final

from aiokafka import errors as kafka
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.memory_records import MemoryRecords

from broker.asking import Asking, check
from broker.samples import Place
from errors import UsageError

_LATEST, _EARLIEST = -1, -2
_READ_COMMITTED: Final = 1
_METADATA_S: Final = 30.0
_HAS_OFFSETS: Final = 2
"""The batch format from which on the header has offsets and times."""


class Logs:
    """The logs of some topics. Each method raises UsageError where Kafka forbids us a topic, and aiokafka's errors."""

    def __init__(self, asking: Asking) -> None:
        self.cluster_id = ""
        self._asking = asking
        self._leaders: dict[Place, int] = {}
        self._asked: tuple[frozenset[str], float] = (frozenset(), 0.0)

    def forget(self) -> None:
        """Find the leaders again before the next question."""
        self._asked = (frozenset(), 0.0)

    async def partitions(self, topics: set[str], required: Collection[str]) -> list[Place]:
        """All partitions of `topics`; asked again now and then, since topics grow.

        A topic that is not `required` may be gone. Raises UsageError for one that is.
        """
        asked, at = self._asked
        if asked != topics or time.monotonic() - at >= _METADATA_S:
            await self._find_leaders(topics, required)
        return sorted(self._leaders)

    async def beginnings(self, places: Iterable[Place]) -> dict[Place, int]:
        """Offset of the first record that is there."""
        return await self._offsets(places, _EARLIEST)

    async def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """Behind the last record that a reader of committed records can get: the last stable offset."""
        return await self._offsets(places, _LATEST)

    async def timestamp(self, place: Place, offset: int) -> float | None:
        """When the record at `offset`, or the next one that is there, was written (seconds since 1970), or None."""
        # One byte is less than any batch: Kafka then gives the first one whole, and no more.
        request = FetchRequest(0, 1, 1, _READ_COMMITTED, [(place.topic, [(place.partition, offset, 1)])])
        answer = await self._asking.broker(self._leaders[place], request)
        for topic, partitions in answer.topics:
            for partition in partitions:
                code, data = partition[1], partition[-1]
                if code == kafka.OffsetOutOfRangeError.errno:
                    return None
                check(code, f"topic {topic}")
                return _written(data, offset)
        return None

    async def _find_leaders(self, topics: set[str], required: Collection[str]) -> None:
        answer = await self._asking.any_broker(MetadataRequest(sorted(topics), False))
        self._asking.learn(answer)
        leaders = {}
        for code, topic, _, partitions in answer.topics:
            if code == kafka.UnknownTopicOrPartitionError.errno:
                if topic in required:
                    raise UsageError(
                        f"topic {topic} does not exist on {self._asking.servers}: "
                        "`streamscorer topics create` makes it (SCORER_KAFKA_TOPIC names another)"
                    )
                continue
            check(code, f"topic {topic}")
            for _, partition, leader, *_ in partitions:
                if leader < 0:
                    raise kafka.LeaderNotAvailableError(f"{topic}/{partition}")
                leaders[Place(topic, partition)] = leader
        self.cluster_id, self._leaders = answer.cluster_id or "", leaders
        self._asked = (frozenset(topics), time.monotonic())

    async def _offsets(self, places: Iterable[Place], which: int) -> dict[Place, int]:
        """One request to each leader."""
        wanted: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        for place in places:
            wanted[self._leaders[place]][place.topic].append((place.partition, which))
        requests = (
            self._asking.broker(leader, OffsetRequest(-1, _READ_COMMITTED, list(by_topic.items())))
            for leader, by_topic in wanted.items()
        )
        found = {}
        for answer in await asyncio.gather(*requests):
            for topic, partitions in answer.topics:
                for partition, code, _, offset, *_ in partitions:
                    check(code, f"topic {topic}")
                    found[Place(topic, partition)] = offset
        return found


def _written(data: bytes, offset: int) -> float | None:
    """The time of the batch that holds `offset`, from its header alone: what it holds may be unreadable."""
    records = MemoryRecords(data)
    while records.has_next():
        batch: Any = records.next_batch()
        if batch is None or batch.magic < _HAS_OFFSETS:
            return None
        if batch.next_offset > offset:
            at_ms = batch.max_timestamp if batch.timestamp_type else batch.first_timestamp
            return at_ms / 1000 if at_ms > 0 else None
    return None
