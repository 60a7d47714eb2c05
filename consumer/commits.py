"""Hop 7: commit, for each partition, the first undecided offset, with a small JSON that tells how we are doing."""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, OffsetAndMetadata
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from consumer.assignment import Assignment
from consumer.condition import Condition
from consumer.items import Batch
from consumer.lanes import Lane
from consumer.waits import Waits, backoff_s
from telemetry import Metrics, logger

log = logger("consumer")
STATE_EVERY_S = 5.0
NEWS_EVERY_S = 1.0
"""When what we wait for has changed: who is paged should not have to wait for the next five seconds."""
_COMMIT_TIMEOUT_S = 10.0


class Commits:
    """Commits what is decided, soon after it is decided and at least every five seconds, in order.

    A commit that fails costs nothing but a redelivery: the rows are safe. So it is counted, logged once, and the next
    one carries the same offsets.
    """

    def __init__(
        self, consumer: AIOKafkaConsumer, assignment: Assignment, waits: Waits, condition: Condition, metrics: Metrics
    ) -> None:
        self._consumer = consumer
        self._metrics = metrics
        self._assignment = assignment
        self._waits = waits
        self._condition = condition
        self._due = asyncio.Event()
        self._news = False
        waits.changed = self._tell_soon
        self._one_at_a_time = asyncio.Lock()
        self._committed: dict[Lane, int] = {}
        self.taken: Callable[[Mapping[Lane, int], int], None] | None = None
        """Told of each commit that Kafka took: the offsets, and when it began (time.time_ns())."""
        self.refused_since: float | None = None
        """Since when (monotonic) our partitions are somebody else's; None while Kafka takes our commits."""

    def soon(self) -> None:
        """Something was decided."""
        self._due.set()

    async def keep_committing(self) -> None:
        """Until cancelled: commit what is due at once, and everything with its state every few seconds."""
        loop = asyncio.get_running_loop()
        told = loop.time() - STATE_EVERY_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(told + self._state_every_s):
                    await self._due.wait()
            self._due.clear()
            # By the clock, not by the time-out: while something is always due, that never comes.
            everything = loop.time() >= told + self._state_every_s
            if everything:
                told, self._news = loop.time(), False
            await self.commit(everything=everything)

    @property
    def _state_every_s(self) -> float:
        return NEWS_EVERY_S if self._news else STATE_EVERY_S

    def _tell_soon(self) -> None:
        self._news = True
        self._due.set()

    async def commit(self, *, everything: bool = False, leaving: bool = False) -> bool:
        """Commit what changed, or all lanes. `leaving`: and that we go in peace. False when Kafka did not take it."""
        async with self._one_at_a_time:
            with self._metrics.batch_seconds.labels(hop="commit").time():
                done = await self._try(everything or leaving, leaving)
            if not done:
                self._metrics.commit_failures.inc()
            return done

    async def say_farewell(self) -> None:
        """The last commit, until Kafka took it."""
        attempt = 0
        while not await self.commit(leaving=True):
            await asyncio.sleep(backoff_s(attempt))
            attempt += 1

    async def note_suspects(self, batch: Batch) -> None:
        """Before they are tried Kafka must know which records may end us: see `Crashes`."""
        cautious = {item.lane for item in batch.items if item.lane.crashes.cautious}
        for lane in cautious:
            lane.crashes.move_to(lane.committable)
        new = {lane for lane in cautious if lane.crashes.cautious and not lane.crashes.tried}
        for lane in new:
            lane.crashes.tried = True
        attempt = 0
        while any(not lane.revoked for lane in new) and not await self.commit(everything=True):
            await asyncio.sleep(backoff_s(attempt))
            attempt += 1

    async def _try(self, everything: bool, leaving: bool) -> bool:
        try:
            async with asyncio.timeout(_COMMIT_TIMEOUT_S):
                lanes = [lane for lane in self._assignment.lanes.values() if not lane.revoked]
                for lane in lanes:
                    await self._pass_control_records(lane)
                due = {lane: lane.committable for lane in lanes if everything or self._changed(lane)}
                for lane, offset in due.items():
                    lane.crashes.move_to(offset)
                if not lanes:
                    self._works()
                if not due:
                    return True
                told = {lane: self._condition.told(lane, leaving=leaving) for lane in due}
                began_ns = time.time_ns()
                await self._consumer.commit(
                    {lane.partition: OffsetAndMetadata(at, told[lane]) for lane, at in due.items()}
                )
        except (CommitFailedError, IllegalStateError) as error:
            if self.refused_since is None:
                self.refused_since = time.monotonic()
                log.info("commit refused: the partitions have another owner now", error=str(error))
            return False
        except (KafkaError, TimeoutError) as error:
            self._waits.begin("broker", f"commit failed ({type(error).__name__}: {error})", who="commit")
            return False
        self._works()
        if self.taken is not None:
            self.taken(due, began_ns)
        kept = {lane: offset for lane, offset in self._committed.items() if not lane.revoked}
        self._committed = kept | due
        return True

    def _works(self) -> None:
        self.refused_since = None
        self._waits.end("broker", who="commit")

    def _changed(self, lane: Lane) -> bool:
        return self._committed.get(lane) != lane.committable

    async def _pass_control_records(self, lane: Lane) -> None:
        # Behind a transaction's marker the position is ahead of the last record: without this, lag would stay at 1.
        if not lane.idle or lane.partition not in self._consumer.assignment():
            return
        due, position = lane.next_offset, await self._consumer.position(lane.partition)
        if position > due:
            first = (await self._consumer.beginning_offsets([lane.partition]))[lane.partition]
            if lane.idle and lane.next_offset == due < first <= position:
                self._assignment.skipped(lane.partition, due, first)
            lane.pass_over(position)
