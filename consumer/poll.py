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
from consumer.pauses import Pauses
from consumer.unreadable import NOT_A_RECORD, Polled, blames_a_record, find_unreadable, not_a_record
from consumer.waits import Waits, backoff_s
from errors import BrokerUnavailable, ProcessCrashed
from schemas.records import Coordinates, Record
from settings import ConsumerSettings
from telemetry import Metrics, logger

log = logger("consumer")
_POLL_S = 0.5
_GIVE_UP_S = 60.0
"""A failure of the client itself that stays so long does not pass any more: end, and be started again."""
_LOOK_S = 5.0
_NOTHING = TopicPartition("", 0)
_TURNS = 8


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the group, and what it is a member of."""

    settings: ConsumerSettings
    cluster: Cluster
    consumer: AIOKafkaConsumer
    assignment: Assignment
    waits: Waits
    metrics: Metrics


class Poller:
    """Polls for one member. What must wait is not asked for: pausing would throw away what is fetched already.

    Left to itself the client empties what it has fetched of one partition, up to 4 MiB, before it begins with the next:
    so several are asked for their share first, others with each poll.

    Suspects (`Crashes`) are polled one at a time, each alone in the process; those that have no next record keep nobody
    waiting.
    """

    def __init__(self, member: Member, budget: Budget, pauses: Pauses) -> None:
        self._member = member
        self._pauses = pauses
        self._consumer = member.consumer
        self._assignment = member.assignment
        self._budget = budget
        self._polled_at = 0.0
        self._turn = 0
        self._failing_since: float | None = None

    async def poll(self) -> Batch | None:
        """The next records, in offset order within a partition; None after a while without any.

        Raises UsageError where Kafka forbids us the topic or the group, KafkaError when the client does not recover.
        """
        if self._assignment.leaving:
            return await self._idle()
        if self._assignment.pending:
            await self._begin_lanes()
        if self._pauses.pause is not None:
            return await self._idle()
        wanted = [tp for tp, lane in self._assignment.lanes.items() if lane.held is None]
        suspects = [tp for tp in wanted if self._assignment.lanes[tp].crashes.careful]
        self._budget.cautious = any(lane.crashes.cautious for lane in self._assignment.lanes.values())
        if suspects:
            if self._budget.records:
                return await self._idle()
            if items := await self._poll(suspects, room=1, timeout_s=0):
                return Batch(items)
            wanted = [tp for tp in wanted if tp not in suspects]
        room = self._budget.room()
        if not wanted or not room:
            return await self._idle()
        with self._member.metrics.batch_seconds.labels(hop="poll").time():
            items = await self._poll_in_turn(wanted, room)
        return Batch(items) if items else None

    async def _poll_in_turn(self, wanted: list[TopicPartition], room: int) -> list[Item]:
        """The share of each whose turn it is, and what else there is room for."""
        epoch, count = self._assignment.epoch, min(_TURNS, len(wanted))
        items: list[Item] = []
        for _ in range(count if len(wanted) > 1 else 0):
            self._turn += 1
            items += await self._poll([wanted[self._turn % len(wanted)]], max(1, room // count), timeout_s=0)
            if epoch != self._assignment.epoch or self._failing_since is not None:
                break
        else:
            if len(items) < room:
                items += await self._poll(wanted, room - len(items), timeout_s=0 if items else _POLL_S)
        return items if epoch == self._assignment.epoch else []

    async def _poll(self, wanted: list[TopicPartition], room: int, timeout_s: float = _POLL_S) -> list[Item]:
        epoch = self._assignment.epoch
        try:
            polled = await self._consumer.getmany(*wanted, timeout_ms=int(timeout_s * 1000), max_records=room)
        except NOT_A_RECORD as error:
            raise not_a_record(error) from error
        except Exception as error:  # noqa: BLE001  (the client raises anything at a record that it cannot read)
            if not blames_a_record(error):
                await self._pause(error)
                return []
            log.warning("poll failed, looking for the record", error=f"{type(error).__name__}: {error}")
            return await self._unreadable(epoch, wanted, room)
        self._polled_at = time.monotonic()
        self._goes_on()
        if epoch != self._assignment.epoch:
            # A rebalance came between: whoever owns these records, nothing was delivered. Begin where the lanes do.
            for tp, lane in self._assignment.lanes.items():
                self._consumer.seek(tp, lane.next_offset)
            return []
        # Delivered before anything is awaited: a commit takes a position that is ahead for the end of control records.
        gaps = self._gaps(polled)
        items = self._deliver(polled)
        await self._tell_trimmed(gaps)
        return items if epoch == self._assignment.epoch else []

    def _gaps(self, polled: Polled) -> dict[TopicPartition, tuple[int, int]]:
        """Partitions that went on behind the record that was due: (due, first polled). One that went back begins anew.

        Kafka's client follows a log in silence, whatever became of it.
        """
        gaps = {}
        for tp, raws in polled.items():
            due, first = self._assignment.lanes[tp].next_offset, raws[0].offset
            if first > due:
                gaps[tp] = (due, first)
            elif first < due:
                self._assignment.restart(tp, first)
        return gaps

    async def _tell_trimmed(self, gaps: dict[TopicPartition, tuple[int, int]]) -> None:
        """A gap is mostly control records, or a compacted topic; or records were deleted before they were polled."""
        if not gaps:
            return
        try:
            async with asyncio.timeout(_LOOK_S):
                first = await self._consumer.beginning_offsets(gaps)
        except (KafkaError, TimeoutError):
            return
        for tp, (due, polled) in gaps.items():
            if due < first[tp] <= polled:
                self._assignment.skipped(tp, due, first[tp])

    def _deliver(self, polled: Polled) -> list[Item]:
        items = []
        for tp, raws in polled.items():
            lane = self._assignment.lanes[tp]
            for raw in raws:
                lane.deliver(raw.offset, raw.timestamp)
                item = Item(record_of(self._member.cluster.id, raw), lane)
                if lane.crashes.guilty and raw.offset == lane.crashes.offset:
                    item.refusal = ProcessCrashed(
                        f"the process that scored it ended {lane.crashes.ends} times without a farewell, the last time "
                        "while it worked on this record alone: look at its log, and at the record with care"
                    )
                items.append(item)
        return items

    async def _unreadable(self, epoch: int, wanted: list[TopicPartition], room: int) -> list[Item]:
        """The records that cannot be read, refused, and what stands before them.

        Nobody knows the time of what cannot be read, so it carries 1970-01-01.
        """
        items: list[Item] = []

        def deliver(polled: Polled) -> None:
            if epoch == self._assignment.epoch:
                items.extend(self._deliver(polled))

        lanes = [lane for tp, lane in self._assignment.lanes.items() if tp in wanted]
        try:
            found = await find_unreadable(self._consumer, lanes, deliver, room)
        except (KafkaError, TimeoutError) as error:
            await self._pause(error)
            found = {}
        if epoch != self._assignment.epoch:
            return []
        for lane, (offset, refusal) in found.items():
            if lane.next_offset != offset:
                continue  # a held partition went back meanwhile: it will be found again
            tp = lane.partition
            at = Coordinates(self._member.cluster.id, tp.topic, tp.partition, offset, timestamp_ms=0)
            items.append(Item(Record(at, key=None, value=None), lane, refusal=refusal))
            lane.deliver(offset, 0)
            self._consumer.seek(tp, offset + 1)
        return items

    async def _begin_lanes(self) -> None:
        settings = self._member.settings
        try:
            async with asyncio.timeout(settings.kafka_session_timeout_s):
                await self._assignment.begin(self._consumer, settings)
        except NOT_A_RECORD as error:
            raise not_a_record(error) from error
        except (KafkaError, BrokerUnavailable, TimeoutError) as error:
            await self._pause(error)
        else:
            self._goes_on()

    async def _pause(self, error: Exception) -> None:
        """Before trying again. Raises the error when the client does not recover."""
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
            self._member.waits.begin("broker", f"poll failed ({type(error).__name__}: {error})", who="poll")
        elif now - self._failing_since > _GIVE_UP_S and isinstance(error, KafkaError) and not error.retriable:
            raise error
        await asyncio.sleep(backoff_s(3))

    def _goes_on(self) -> None:
        self._failing_since = None
        self._member.waits.end("broker", who="poll")

    async def _idle(self) -> Batch | None:
        """Wait a little for room; from time to time poll for nothing, which keeps the membership and the buffers."""
        long_ago = time.monotonic() - self._polled_at > MAX_POLL_INTERVAL_S / 10
        if long_ago and (items := await self._poll([_NOTHING], room=1)):
            return Batch(items)
        await self._budget.change(_POLL_S / 5)
        return None
