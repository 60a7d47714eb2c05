"""Hop 1: poll the partitions that are ours and not held, as much as the budget allows."""

import asyncio
import time
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from broker.clients import MAX_POLL_INTERVAL_S
from broker.records import record_of
from broker.topics import Cluster
from consumer.assignment import Assignment
from consumer.budget import Budget
from consumer.items import Batch, Item
from consumer.unreadable import NOT_A_RECORD, blames_a_record, find_unreadable, not_a_record
from consumer.waits import backoff_s
from schemas.records import Coordinates, Record
from settings import ConsumerSettings
from telemetry import Metrics, logger

log = logger("consumer")
_POLL_S = 0.5
_GIVE_UP_S = 60.0
"""A failure of the client itself that stays so long does not pass any more: end, and be started again."""
_NOTHING = TopicPartition("", 0)


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the group, and what it is a member of."""

    settings: ConsumerSettings
    cluster: Cluster
    consumer: AIOKafkaConsumer
    assignment: Assignment
    metrics: Metrics


class Poller:
    """Polls for one member. What must wait is not asked for: pausing would throw away what is fetched already."""

    def __init__(self, member: Member, budget: Budget) -> None:
        self._member = member
        self._consumer = member.consumer
        self._assignment = member.assignment
        self._budget = budget
        self._polled_at = 0.0
        self._failing_since: float | None = None

    async def poll(self) -> Batch | None:
        """The next records, in offset order within a partition; None after a while without any.

        Raises UsageError where Kafka forbids us the topic or the group, KafkaError when the client does not recover.
        """
        if self._assignment.leaving:
            return await self._idle()
        if self._assignment.pending:
            await self._begin_lanes()
        wanted = [tp for tp, lane in self._assignment.lanes.items() if lane.held is None]
        room = self._budget.room()
        if not wanted or not room:
            return await self._idle()
        with self._member.metrics.batch_seconds.labels(hop="poll").time():
            items = await self._poll(wanted, room)
        self._polled_at = time.monotonic()
        return Batch(items) if items else None

    async def _poll(self, wanted: list[TopicPartition], room: int) -> list[Item]:
        epoch = self._assignment.epoch
        try:
            polled = await self._consumer.getmany(*wanted, timeout_ms=int(_POLL_S * 1000), max_records=room)
        except NOT_A_RECORD as error:
            raise not_a_record(error) from error
        except Exception as error:  # noqa: BLE001  (the client raises anything at a record that it cannot read)
            if not blames_a_record(error):
                await self._pause(error)
                return []
            log.warning("poll failed, looking for the record", error=f"{type(error).__name__}: {error}")
            return await self._unreadable(epoch)
        self._failing_since = None
        if epoch != self._assignment.epoch:
            # A rebalance came between: whoever owns these records, nothing was delivered. Begin where the lanes do.
            for tp, lane in self._assignment.lanes.items():
                self._consumer.seek(tp, lane.next_offset)
            return []
        items = []
        for tp, raws in polled.items():
            lane = self._assignment.lanes[tp]
            for raw in raws:
                lane.deliver(raw.offset, raw.timestamp)
                items.append(Item(record_of(self._member.cluster.id, raw), lane))
        return items

    async def _unreadable(self, epoch: int) -> list[Item]:
        """The records that cannot be read, refused; nobody knows their time, so they carry the epoch's."""
        try:
            found = await find_unreadable(self._consumer, self._assignment.lanes.values())
        except (KafkaError, TimeoutError) as error:
            await self._pause(error)
            return []
        items = []
        for lane, refusal in found.items() if epoch == self._assignment.epoch else ():
            tp, offset = lane.partition, lane.next_offset
            at = Coordinates(self._member.cluster.id, tp.topic, tp.partition, offset, timestamp_ms=0)
            items.append(Item(Record(at, key=None, value=None), lane, refusal=refusal))
            lane.deliver(offset, 0)
            self._consumer.seek(tp, offset + 1)
        return items

    async def _begin_lanes(self) -> None:
        settings = self._member.settings
        try:
            async with asyncio.timeout(settings.kafka_session_timeout_s):
                await self._assignment.begin(self._consumer, settings.kafka_auto_offset_reset)
        except NOT_A_RECORD as error:
            raise not_a_record(error) from error
        except (KafkaError, TimeoutError) as error:
            await self._pause(error)

    async def _pause(self, error: Exception) -> None:
        """Before trying again; said once. Raises the error when the client does not recover."""
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
            log.warning("poll failed, trying again", error=f"{type(error).__name__}: {error}")
        elif now - self._failing_since > _GIVE_UP_S and isinstance(error, KafkaError) and not error.retriable:
            raise error
        await asyncio.sleep(backoff_s(3))

    async def _idle(self) -> Batch | None:
        """Wait a little for room; from time to time poll for nothing, which keeps the membership and the buffers."""
        if time.monotonic() - self._polled_at > MAX_POLL_INTERVAL_S / 10:
            items = await self._poll([_NOTHING], room=1)
            self._polled_at = time.monotonic()
            if items:
                return Batch(items)
        await self._budget.change(_POLL_S / 5)
        return None
