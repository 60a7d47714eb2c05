"""Which partitions are ours, and where each begins."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from consumer.lanes import Lane
from telemetry import Metrics, logger

log = logger("consumer")
REVOKE_DRAIN_S = 15.0
"""How long a rebalance waits for what is in flight; well below the group's rebalance timeout."""


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
        self._metrics = metrics
        self._drain = drain

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
        self._metrics.rebalances.inc()
        log.info("partitions assigned", partitions=sorted(tp.partition for tp in self._assigned))

    async def begin(self, consumer: AIOKafkaConsumer, reset: str) -> None:
        """Give each assigned partition its lane, at the committed offset or where `reset` says.

        Raises KafkaError; then, or when the group has moved on meanwhile, nothing has changed.
        """
        epoch, assigned = self.epoch, set(self._assigned)
        first = await consumer.beginning_offsets(assigned) if assigned else {}
        last = await consumer.end_offsets(assigned) if assigned and reset == "latest" else first
        # All at once: one by one, hundreds of partitions on a far broker would outlast the caller's patience.
        committed = dict(zip(assigned, await asyncio.gather(*map(consumer.committed, assigned)), strict=True))
        if epoch != self.epoch:
            return
        lanes: dict[TopicPartition, Lane] = {}
        for tp in sorted(assigned):
            known = committed[tp]
            start = last[tp] if known is None else known
            if known is not None and known < first[tp]:
                lost = first[tp] - known
                log.error("records were deleted before they were scored", partition=tp.partition, lost=lost)
                start = first[tp]
            consumer.seek(tp, start)
            lanes[tp] = Lane(tp, start)
        self.lanes = lanes
