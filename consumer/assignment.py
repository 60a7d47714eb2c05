"""Which partitions are ours, and where each begins."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from broker.groups import open_groups
from broker.samples import Place
from consumer.crashes import Crashes
from consumer.lanes import Lane
from settings import KafkaSettings
from telemetry import Metrics, logger

log = logger("consumer")
REVOKE_DRAIN_S = 15.0
"""How long a rebalance waits for what is in flight; well below the group's rebalance timeout."""
_JOINS_KEPT = 100


class Assignment(ConsumerRebalanceListener):
    """The lanes of the partitions that the group gave us. `epoch` grows with every change.

    The listener only takes notes and, on revocation, waits for what is in flight: it runs while heartbeats go on, and
    its errors would only be logged. The positions are set by `begin`, from the poll loop.
    """

    def __init__(self, metrics: Metrics, drain: Callable[[], Awaitable[None]]) -> None:
        self.lanes: dict[TopicPartition, Lane] = {}
        self.epoch = 0
        self.leaving = False
        """A rebalance waits for us: nothing new may be polled."""
        self._assigned: set[TopicPartition] = set()
        self._joined: deque[float] = deque(maxlen=_JOINS_KEPT)
        self._metrics = metrics
        self._drain = drain

    def joins(self, within_s: float) -> int:
        """How often we were given partitions in the last seconds."""
        return sum(at > time.monotonic() - within_s for at in self._joined)

    @property
    def pending(self) -> bool:
        """Partitions were assigned that have no lane yet."""
        return self._assigned != self.lanes.keys()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002  (all of them)
        """Finish and commit what is in flight, within a deadline; what is left will be a redelivery to someone."""
        self.leaving = True
        for lane in self.lanes.values():
            lane.closing = True
        try:
            if self.lanes:
                with suppress(TimeoutError):
                    async with asyncio.timeout(REVOKE_DRAIN_S):
                        await self._drain()
        finally:
            for lane in self.lanes.values():
                lane.revoked = True
            self.lanes = {}
            self._assigned = set()
            self.epoch += 1

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Note what is ours now."""
        self._assigned = set(assigned)
        self.epoch += 1
        self.leaving = False
        self._joined.append(time.monotonic())
        self._metrics.rebalances.inc()
        log.info("partitions assigned", partitions=sorted(tp.partition for tp in self._assigned))

    async def begin(self, consumer: AIOKafkaConsumer, settings: KafkaSettings) -> None:
        """Give each assigned partition its lane, at the committed offset or where KAFKA_AUTO_OFFSET_RESET says.

        Raises KafkaError, BrokerUnavailable, and UsageError where Kafka forbids us the group; then, or when the group
        has moved on meanwhile, nothing has changed.
        """
        epoch, assigned = self.epoch, set(self._assigned)
        lanes = {}
        if assigned:
            first = await consumer.beginning_offsets(assigned)
            last = await consumer.end_offsets(assigned)
            new = last if settings.kafka_auto_offset_reset == "latest" else first
            async with open_groups(settings) as groups:
                known = await groups.committed(settings.kafka_group_id)
            if epoch != self.epoch:
                return
            for tp in sorted(assigned):
                offset, left = known.get(Place(*tp), (new[tp], ""))
                crashes = Crashes.read(offset, left, last[tp])
                if offset < first[tp]:
                    self.skipped(tp, offset, first[tp])
                    offset = first[tp]
                    crashes = Crashes(offset)
                consumer.seek(tp, offset)
                lanes[tp] = Lane(tp, offset, crashes)
                if crashes.cautious:
                    log.warning("an earlier owner ended here", at=f"{tp.partition}/{offset}", times=crashes.ends)
        self.lanes = lanes

    def restart(self, tp: TopicPartition, first: int) -> None:
        """The log of this partition begins again below what was polled: another log, or one that lost its end."""
        lane = self.lanes[tp]
        log.error("the log went back: its topic was made again?", at=f"{tp.partition}/{lane.next_offset}", to=first)
        lane.revoked = True
        self.lanes = self.lanes | {tp: Lane(tp, first)}

    def skipped(self, tp: TopicPartition, expected: int, first: int) -> None:
        """The log begins at `first`, behind the record that is due: say loudly what nobody will score."""
        log.error(
            "records were deleted before they were scored", at=f"{tp.partition}/{expected}", lost=first - expected
        )
        self._metrics.skipped.labels(reason="trimmed").inc(first - expected)
