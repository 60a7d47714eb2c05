"""What Kafka knows of a consumer group, in one look of few requests; and when a record was written.

aiokafka's admin client overlooks errors that stand beside the offsets, and asks for topics in a way that creates them:
so the requests are made here, over its bare client.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

from aiokafka import errors as kafka
from aiokafka.client import AIOKafkaClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.protocol.admin import DescribeGroupsRequest, ListGroupsRequest
from aiokafka.protocol.api import Request
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.memory_records import MemoryRecords

from broker.clients import connection_options
from broker.failures import kafka_failures
from broker.samples import GroupSample, Member, PartitionSample, Place
from errors import UsageError
from settings import KafkaSettings

_LATEST, _EARLIEST = -1, -2
_READ_COMMITTED: Final = 1
_DEAD: Final = "Dead"
"""No such group; or one of the protocol of KIP-848, which the requests that we know do not describe."""
_METADATA_S: Final = 30.0
_AGAIN_S: Final = 0.1
_UUID_START: Final = 8
_HAS_OFFSETS: Final = 2
"""The batch format from which on the header has offsets and times."""
R = TypeVar("R")


class Groups:
    """Looks at groups over one connection to each broker. Every method ends within `timeout_s`.

    Each raises BrokerUnavailable when Kafka does not answer, and UsageError, which names what is missing, where it
    refuses, or where the group or the topic does not exist.
    """

    def __init__(self, settings: KafkaSettings, client: AIOKafkaClient, timeout_s: float) -> None:
        self._settings = settings
        self._client = client
        self._timeout_s = timeout_s
        self._coordinators: dict[str, int] = {}
        self._leaders: dict[Place, int] = {}
        self._cluster_id = ""
        self._asked: tuple[frozenset[str], float] = (frozenset(), 0.0)

    async def look(self, group_id: str, topics: Collection[str] = ()) -> GroupSample:
        """The group on `topics`, and on those that its members have; without `topics` on all that it has committed.

        A partition that the group has not committed is there with its log.
        """
        return await self._bounded(lambda: self._look(group_id, topics))

    async def timestamp(self, place: Place, offset: int) -> float | None:
        """When the record at `offset`, or the next one that is there, was written (seconds since 1970).

        None where there is none. It costs one batch of records as the producer made it.
        """
        return await self._bounded(lambda: self._timestamp(place, offset))

    async def _bounded(self, attempt: Callable[[], Awaitable[R]]) -> R:
        try:
            with kafka_failures(self._settings):
                async with asyncio.timeout(self._timeout_s):
                    return await self._until_settled(attempt)
        except kafka.KafkaError as error:
            raise UsageError(f"Kafka refuses: {type(error).__name__} ({error})") from error

    async def _until_settled(self, attempt: Callable[[], Awaitable[R]]) -> R:
        """Again while leaders and coordinators move; the last such error is the reason when time is up."""
        trouble: kafka.KafkaError | None = None
        try:
            while True:
                try:
                    return await attempt()
                except kafka.KafkaError as error:
                    if not error.retriable or isinstance(error, kafka.KafkaConnectionError):
                        raise
                    trouble = error
                self._coordinators.clear()
                self._asked = (frozenset(), 0.0)
                await asyncio.sleep(_AGAIN_S)
        except TimeoutError:
            if trouble is not None:
                raise trouble from None
            raise

    async def _look(self, group_id: str, topics: Collection[str]) -> GroupSample:
        committed, (state, members) = await asyncio.gather(self._committed(group_id), self._members(group_id))
        if state == _DEAD and not committed:
            raise UsageError(await self._nothing_known(group_id))
        owners = {place: f"{member.name}@{member.host}" for member in members for place in member.places}
        assigned = {place.topic for place in owners}
        known = set(topics) | assigned | (set() if topics else {place.topic for place in committed})
        await self._find_leaders(known, required=topics)
        places = sorted(self._leaders)
        beginnings, ends = await asyncio.gather(self._offsets(places, _EARLIEST), self._offsets(places, _LATEST))
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
            group_id, self._cluster_id, time.time(), state if told else None, members if told else None, partitions
        )

    async def _committed(self, group_id: str) -> dict[Place, tuple[int, str]]:
        answer = await self._ask_coordinator(group_id, OffsetFetchRequest(group_id, None))
        _check(answer.error_code, f"group {group_id}")
        found = {}
        for topic, partitions in answer.topics:
            for partition, offset, metadata, code in partitions:
                _check(code, f"topic {topic}")
                if offset >= 0:
                    found[Place(topic, partition)] = (offset, metadata or "")
        return found

    async def _members(self, group_id: str) -> tuple[str, tuple[Member, ...]]:
        answer = await self._ask_coordinator(group_id, DescribeGroupsRequest([group_id]))
        code, _, state, _, _, members, *_ = answer.groups[0]
        _check(code, f"group {group_id}")
        return state, tuple(_member(member[0], member[1], member[2], member[4]) for member in members)

    async def _nothing_known(self, group_id: str) -> str:
        answer = await self._ask_coordinator(group_id, ListGroupsRequest())
        if group_id in {group[0] for group in answer.groups}:
            return f"consumer group {group_id} has committed nothing yet, and Kafka does not tell us its members"
        return f"consumer group {group_id} does not exist on {self._settings.kafka_bootstrap_servers}"

    async def _ask_coordinator(self, group_id: str, request: Request[Any]) -> Any:
        if group_id not in self._coordinators:
            answer = await self._client.send(self._any_broker(), FindCoordinatorRequest(group_id, 0))
            _check(answer.error_code, f"group {group_id}")
            self._coordinators[group_id] = answer.coordinator_id
        return await self._client.send(self._coordinators[group_id], request)

    async def _find_leaders(self, topics: set[str], required: Collection[str]) -> None:
        """Ask again now and then: topics grow. A topic that is not `required` may be gone."""
        asked, at = self._asked
        if asked == topics and time.monotonic() - at < _METADATA_S:
            return
        answer = await self._client.send(self._any_broker(), MetadataRequest(sorted(topics), False))
        self._client.cluster.update_metadata(answer)
        leaders = {}
        for code, topic, _, partitions in answer.topics:
            if code == kafka.UnknownTopicOrPartitionError.errno:
                if topic in required:
                    raise UsageError(
                        f"topic {topic} does not exist on {self._settings.kafka_bootstrap_servers}: "
                        "`streamscorer topics create` makes it (SCORER_KAFKA_TOPIC names another)"
                    )
                continue
            _check(code, f"topic {topic}")
            for _, partition, leader, *_ in partitions:
                if leader < 0:
                    raise kafka.LeaderNotAvailableError(f"{topic}/{partition}")
                leaders[Place(topic, partition)] = leader
        self._cluster_id, self._leaders = answer.cluster_id or "", leaders
        self._asked = (frozenset(topics), time.monotonic())

    async def _offsets(self, places: Iterable[Place], which: int) -> dict[Place, int]:
        """One request to each leader. A read-committed end is the last stable offset."""
        wanted: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        for place in places:
            wanted[self._leaders[place]][place.topic].append((place.partition, which))
        requests = (
            self._client.send(leader, OffsetRequest(-1, _READ_COMMITTED, list(by_topic.items())))
            for leader, by_topic in wanted.items()
        )
        found = {}
        for answer in await asyncio.gather(*requests):
            for topic, partitions in answer.topics:
                for partition, code, _, offset, *_ in partitions:
                    _check(code, f"topic {topic}")
                    found[Place(topic, partition)] = offset
        return found

    async def _timestamp(self, place: Place, offset: int) -> float | None:
        # One byte is less than any batch: Kafka then gives the first one whole, and no more.
        request = FetchRequest(0, 1, 1, _READ_COMMITTED, [(place.topic, [(place.partition, offset, 1)])])
        answer = await self._client.send(self._leaders[place], request)
        for topic, partitions in answer.topics:
            for partition in partitions:
                code, data = partition[1], partition[-1]
                if code == kafka.OffsetOutOfRangeError.errno:
                    return None
                _check(code, f"topic {topic}")
                return _written(data, offset)
        return None

    def _any_broker(self) -> Any:
        node = self._client.get_random_node()
        if node is None:
            raise kafka.KafkaConnectionError("no broker is known")
        return node


@asynccontextmanager
async def open_groups(settings: KafkaSettings, *, timeout_s: float = 10.0) -> AsyncIterator[Groups]:
    """Connected, and closed at the end. Raises BrokerUnavailable, and UsageError when no broker is named."""
    client = AIOKafkaClient(
        **connection_options(settings), client_id="streamscorer", request_timeout_ms=int(timeout_s * 1000)
    )
    try:
        with kafka_failures(settings):
            async with asyncio.timeout(timeout_s):
                await client.bootstrap()
        yield Groups(settings, client, timeout_s)
    finally:
        closing = asyncio.create_task(client.close(), name="close-groups")
        await asyncio.wait([closing], timeout=timeout_s)
        closing.cancel()
        await asyncio.wait([closing], timeout=timeout_s)
        if closing.done():
            with suppress(kafka.KafkaError, asyncio.CancelledError):
                closing.result()


def _check(code: int, what: str) -> None:
    """Raises what the code means: UsageError for a permission that is missing, else aiokafka's error."""
    if not code:
        return
    error = kafka.for_code(code)
    if error in (kafka.GroupAuthorizationFailedError, kafka.TopicAuthorizationFailedError):
        raise UsageError(
            f"no permission to look at {what}: it needs the operation DESCRIBE on that {what.split(maxsplit=1)[0]}"
        )
    raise error(f"{what}: {error.description}")


def _member(member_id: str, client_id: str, host: str, assignment: bytes) -> Member:
    try:
        places = ConsumerProtocolMemberAssignment.decode(assignment).partitions() if assignment else []
    except (ValueError, TypeError):
        places = []  # another protocol of assignment: Kafka Connect has its own
    # Clients make their member's id from their own and a UUID, of which the beginning tells them apart.
    tail = member_id.removeprefix(f"{client_id}-")[:_UUID_START]
    return Member(f"{client_id}-{tail}", host.lstrip("/"), tuple(Place(*place) for place in places))


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
