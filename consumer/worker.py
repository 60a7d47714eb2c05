"""The consumer: from a Kafka record to a committed row, and the order in which it stops."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from structlog.contextvars import bind_contextvars

from broker.clients import MIB, build_consumer, stop_consumer
from broker.topics import Cluster
from consumer.accounts import Accounts
from consumer.assignment import Assignment
from consumer.budget import Budget, share_bytes
from consumer.commits import Commits
from consumer.condition import Condition
from consumer.holds import Holds
from consumer.hops import Hops, Parts
from consumer.items import Batch, Item
from consumer.lanes import Lane
from consumer.limit import DeadLetterLimit
from consumer.membership import end, join, unless
from consumer.pauses import Pauses
from consumer.poll import Member, Poller
from consumer.traces import Traces
from consumer.waits import Waits
from consumer.watchdog import Watchdog
from errors import SafetyLimit, ScorerError
from settings import ConsumerSettings
from store.groups import Pause
from telemetry import TRACED, logger

log = logger("consumer")
_LAST_POLL_S = 2.0


class Worker:
    """One member of the group. `run` until `stop`; bugs propagate out of `run`.

    1. poll       `Poller`: records of our partitions, as many as the budget allows.
    2. decode     `_prepare`: envelopes to events;
    3. skip                   what is decided already goes no further;
    4. score                  fetch what is elsewhere, start the inference, and go on with the next batch meanwhile.
    5. publish    `_settle`: batches in their order: dead letters out,
    6. write                  rows in,
    7. commit                 offsets up to the first undecided record of each partition (`Commits`, coalesced).

    Two queues lie between: behind 1 and behind 4. Both are bounded by the one `Budget`.
    """

    def __init__(self, settings: ConsumerSettings, parts: Parts, cluster: Cluster) -> None:
        self._settings = settings
        self._metrics = parts.metrics
        partitions = cluster.partitions[settings.kafka_topic]
        self._consumer = build_consumer(settings, partition_fetch_bytes=_fetch_bytes(settings, partitions))
        self.waits = Waits(parts.metrics)
        self._budget = Budget(settings, parts.metrics)
        self._limit = DeadLetterLimit(settings, parts.store, cluster.id, self.waits)
        self._hops = Hops(settings, parts, self.waits, self._limit)
        self._assignment = Assignment(parts.metrics, self._finish_in_flight)
        member = Member(settings, cluster, self._consumer, self._assignment, self.waits, parts.metrics)
        self._pauses = Pauses(settings, parts.store, cluster.id, self.waits)
        self._poller = Poller(member, self._budget, self._pauses)
        self._condition = Condition(self._assignment, self.waits, self._budget)
        self._commits = Commits(self._consumer, self._assignment, self.waits, self._condition, parts.metrics)
        self._traces = None if parts.tracing is None else Traces(parts.tracing, settings)
        if self._traces is not None:
            self._commits.taken = self._traces.committed
        limit_s = settings.stall_timeout_s
        self._watchdog = Watchdog(limit_s, self._consumer, self._assignment, self._commits, self._budget)
        self._accounts = Accounts(parts.metrics, self._budget, self._condition, self._traces)
        self._holds = Holds(parts.fetcher, settings.source_deadline_s, self._budget, self.waits, self)
        self._polled: asyncio.Queue[Batch | None] = asyncio.Queue()
        self._scoring: asyncio.Queue[Batch | None] = asyncio.Queue()
        self._stopping = asyncio.Event()
        self._deadline = asyncio.timeout(None)
        self._tasks = asyncio.TaskGroup()
        self._polling: asyncio.Task[None] | None = None
        self._running = False

    async def run(self) -> bool:
        """Work until `stop`, then drain. True when all that was in flight is committed; False when the deadline cut it.

        Raises DependencyAway when Kafka does not let us in before START_TIMEOUT_S.
        """
        # In each line of this task and those it starts.
        bind_contextvars(topic=self._settings.kafka_topic, group=self._settings.kafka_group_id)
        try:
            if not await unless(self._stopping, self._start()):
                return True  # nothing was in flight
            self._consumer.subscribe([self._settings.kafka_topic], listener=self._assignment)
            async with self._deadline, self._tasks:
                self._running = True
                if self._stopping.is_set():
                    self._limit_drain()
                committing = self.spawn(self._commits.keep_committing(), name="commit")
                watching = self.spawn(self._watchdog.watch(self.waits), name="watch")
                pausing = self.spawn(self._pauses.watch(), name="pause")
                self._polling = self.spawn(self._poll(), name="poll")
                self.spawn(self._prepare(), name="prepare")
                await self._settle()
                await end(watching, committing, pausing)
                await self._commits.say_farewell()
        except TimeoutError:
            if not self._deadline.expired():
                raise
            log.warning(
                "drain deadline passed: what is in flight will be delivered again", records=self._budget.records
            )
            return False
        except BaseExceptionGroup as group:
            if (known := group.subgroup(ScorerError)) is not None:
                await self._tell(known)
            raise
        finally:
            self._running = False
            await stop_consumer(self._consumer)
        log.info("drained")
        return True

    async def _start(self) -> None:
        await self._limit.before_start()
        await self._pauses.before_start()
        await join(self._consumer, self._settings)

    async def _tell(self, known: BaseException) -> None:
        """Why we end stays beside the committed offsets: for who watches the group, and since no record is to blame."""
        while isinstance(known, BaseExceptionGroup):
            known = known.exceptions[0]
        self.waits.begin("dead_letters" if isinstance(known, SafetyLimit) else "operator", str(known))
        await self._commits.commit(leaving=True)

    def stop(self) -> None:
        """Poll no more; finish, write and commit what is in flight within DRAIN_TIMEOUT_S. May be called twice."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._running:
            self._limit_drain()

    def _limit_drain(self) -> None:
        loop = asyncio.get_running_loop()
        self._deadline.reschedule(loop.time() + self._settings.drain_timeout_s)
        if self._polling is not None:
            # A getmany that began in mid-rebalance may never return.
            loop.call_later(_LAST_POLL_S, self._polling.cancel)

    @property
    def leads(self) -> bool:
        """We have the topic's first partition: at most one member of the group does."""
        return any(place.partition == 0 for place in self._assignment.lanes)

    @property
    def pause(self) -> Pause | None:
        """The operator's, while it holds."""
        return self._pauses.pause

    async def trouble(self) -> str | None:
        """Why this consumer makes no progress at the moment though nobody has paused it, or None."""
        if wait := self.waits.trouble:
            return f"{wait.part} since {wait.since:%H:%M:%S}: {wait.why}"
        held = [
            f"partition {lane.partition.partition}: {lane.held}"
            for lane in self._assignment.lanes.values()
            if lane.held
        ]
        return "; ".join(held) if held and len(held) == len(self._assignment.lanes) else None

    # 1
    async def _poll(self) -> None:
        try:
            lanes = self._assignment.lanes
            while not self._stopping.is_set():
                batch = await self._poller.poll()
                if self._assignment.lanes is not lanes:
                    lanes = self._assignment.lanes
                    self._commits.soon()  # where we begin: who scales consumers by lag reads it
                if batch is not None:
                    self._watchdog.progress()
                    self._budget.take(len(batch.items), batch.size)
                    self._metrics.batch_records.observe(len(batch.items))
                    self._polled.put_nowait(batch)
        finally:
            self._polled.put_nowait(None)

    # 2, 3, 4
    async def _prepare(self) -> None:
        stage = self._condition.preparing
        while (batch := await self._polled.get()) is not None:
            stage.on("store")
            await self._commits.note_suspects(batch)
            await self._hops.decode(batch)
            if self._traces is not None:
                self._traces.begin(batch)
            await self._hops.skip(batch)
            stage.on("source")
            batch = await self._holds.sieve(batch)
            if batch.items:
                self.start_scoring(batch)
            stage.on("kafka")
        self._holds.give_up()
        self._scoring.put_nowait(None)

    def start_scoring(self, batch: Batch) -> None:
        if self._traces is not None:
            self._traces.gather(batch)
        batch.scoring = self.spawn(self._score(batch), name="score")
        self._scoring.put_nowait(batch)

    async def _score(self, batch: Batch) -> None:
        await self._commits.note_suspects(batch)
        if self._traces is not None:
            TRACED.set(self._traces.trace_id(batch))
        await self._hops.score(batch)

    # 5, 6, 7
    async def _settle(self) -> None:
        stage = self._condition.settling
        while (batch := await self._scoring.get()) is not None:
            assert batch.scoring is not None
            stage.on("engine")
            await batch.scoring
            stage.on("store")
            await self._hops.settle(batch)
            for item in batch.items:
                assert item.outcome is not None
                item.lane.decide(item.record.at.offset)
            self._accounts.enter(batch)
            self._watchdog.progress()
            self._commits.soon()
            stage.on("kafka")

    def discard(self, item: Item) -> None:
        """Let go of a record that we will not decide: it is delivered again."""
        self._budget.give(1, item.size)

    def poll_again(self, lane: Lane, offset: int) -> None:
        """Deliver from `offset` on once more (a held partition keeps only a few records)."""
        lane.rewind(offset)
        if not lane.revoked and lane.partition in self._consumer.assignment():
            self._consumer.seek(lane.partition, offset)

    async def _finish_in_flight(self) -> None:
        self._holds.give_up()
        await self._budget.empty()
        await self._commits.commit(leaving=True)

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """A task whose failure ends the worker."""
        return self._tasks.create_task(work, name=name)


def _fetch_bytes(settings: ConsumerSettings, partitions: int) -> int:
    """Kafka's buffers lie outside the budget of what is in flight: they share a share of their own."""
    share = share_bytes(settings) // max(1, partitions)
    return max(MIB // 4, min(4 * MIB, share))
