"""What the coordinator of a group knows: its committed offsets with their metadata, its state and its members."""

from typing import Any, Final

from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.protocol.admin import DescribeGroupsRequest, ListGroupsRequest
from aiokafka.protocol.api import Request
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest

from broker.asking import Asking, check
from broker.samples import Member, Place

_UUID_START: Final = 8


class Coordinators:
    """Each method raises UsageError where Kafka forbids us the group, and aiokafka's errors."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._nodes: dict[str, int] = {}

    def forget(self) -> None:
        """Find them again before the next question."""
        self._nodes.clear()

    async def committed(self, group_id: str) -> dict[Place, tuple[int, str]]:
        """Offset and metadata of each partition that the group has committed."""
        answer = await self._ask(group_id, OffsetFetchRequest(group_id, None))
        check(answer.error_code, f"group {group_id}")
        found = {}
        for topic, partitions in answer.topics:
            for partition, offset, metadata, code in partitions:
                check(code, f"topic {topic}")
                if offset >= 0:
                    found[Place(topic, partition)] = (offset, metadata or "")
        return found

    async def members(self, group_id: str) -> tuple[str, tuple[Member, ...]]:
        """Kafka's word for the group's state, and who is in it."""
        answer = await self._ask(group_id, DescribeGroupsRequest([group_id]))
        code, _, state, _, _, members, *_ = answer.groups[0]
        check(code, f"group {group_id}")
        return state, tuple(_member(member[0], member[1], member[2], member[4]) for member in members)

    async def lists(self, group_id: str) -> bool:
        """Whether the group is there, be it one that cannot be described."""
        answer = await self._ask(group_id, ListGroupsRequest())
        return group_id in {group[0] for group in answer.groups}

    async def _ask(self, group_id: str, request: Request[Any]) -> Any:
        if group_id not in self._nodes:
            answer = await self._asking.any_broker(FindCoordinatorRequest(group_id, 0))
            check(answer.error_code, f"group {group_id}")
            self._nodes[group_id] = answer.coordinator_id
        return await self._asking.broker(self._nodes[group_id], request)


def _member(member_id: str, client_id: str, host: str, assignment: bytes) -> Member:
    try:
        places = ConsumerProtocolMemberAssignment.decode(assignment).partitions() if assignment else []
    except (ValueError, TypeError):
        places = []  # another protocol of assignment: Kafka Connect has its own
    # Clients make their member's id from their own and a UUID, of which the beginning tells them apart.
    tail = member_id.removeprefix(f"{client_id}-")[:_UUID_START]
    return Member(f"{client_id}-{tail}", host.lstrip("/"), tuple(Place(*place) for place in places))
