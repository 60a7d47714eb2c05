"""Ends a process that makes no progress although there is work, so that its supervisor starts it again."""

import asyncio
import faulthandler
import os
import sys
import threading
import time

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from consumer.assignment import Assignment
from consumer.budget import Budget
from consumer.commits import Commits
from consumer.waits import Waits
from telemetry import logger

log = logger("consumer")
_TICK_S = 1.0
_JUMP_S = 5.0
_ASK_S = 5.0
_SAY_S = 5.0
FROZEN = 1
"""Exit code where even the event loop stands still."""


class Stalled(RuntimeError):
    """No record was decided for too long, there is work, and nothing is known that we wait for. A bug, ours or not."""


class Watchdog:
    """Bites when there is work and for `limit_s` nothing is decided, polled or committed, for no known reason.

    Work is what is in flight, or what lies in the log of our partitions while we poll nothing; a commit that is refused
    for so long is a membership lost unnoticed. Known reasons are the `Waits`, and records held by their own sources. A
    clock that jumped (the process was stopped, or the machine slept) starts the time anew, once for each jump.
    """

    def __init__(
        self, limit_s: float, consumer: AIOKafkaConsumer, assignment: Assignment, commits: Commits, budget: Budget
    ) -> None:
        self._limit_s = limit_s
        self._consumer = consumer
        self._assignment = assignment
        self._commits = commits
        self._budget = budget
        self._since = time.monotonic()
        self._beat = self._since

    def progress(self) -> None:
        """Something was polled or decided."""
        self._since = time.monotonic()

    async def watch(self, waits: Waits) -> None:
        """Until cancelled. Raises Stalled."""
        tick_s = min(_TICK_S, self._limit_s / 4)
        woke = self._beat = self._since = time.monotonic()
        over = threading.Event()
        threading.Thread(target=self._watch_loop, args=(over,), name="watchdog", daemon=True).start()
        try:
            while True:
                await asyncio.sleep(tick_s)
                now = time.monotonic()
                jump_s = now - woke - tick_s  # by our own clock: the thread may have seen the jump first
                woke = self._beat = now
                if jump_s > _JUMP_S:
                    log.warning("the process stood still", seconds=round(jump_s, 1))
                    self._since = now
                elif waits.current is not None:
                    self._since = now
                elif why := self._refused(now) or (now - self._since > self._limit_s and await self._work()):
                    self._tell(why)
                    raise Stalled(f"no progress for {self._limit_s:g} s: {why}")
        finally:
            over.set()

    def _refused(self, now: float) -> str | None:
        """Whatever is decided meanwhile: somebody else decides it as well."""
        since = self._commits.refused_since
        return None if since is None or now - since <= self._limit_s else "commits are refused, and no assignment comes"

    async def _work(self) -> str | None:
        """What there would be to do; None starts the time anew."""
        if self._budget.records:
            return f"{self._budget.records} records are in flight"
        lanes = {tp: lane for tp, lane in self._assignment.lanes.items() if lane.held is None}
        try:
            async with asyncio.timeout(_ASK_S):
                ends = await self._consumer.end_offsets(list(lanes)) if lanes else {}
        except (KafkaError, TimeoutError):
            ends = {}
        behind = {tp.partition: ends[tp] - lane.next_offset for tp, lane in lanes.items() if tp in ends}
        behind = {partition: count for partition, count in behind.items() if count > 0}
        if not behind:
            self.progress()
            return None
        return f"nothing is polled from partitions that have records: {behind}"

    def _tell(self, why: str) -> None:
        log.error(
            "no progress",
            why=why,
            limit_s=self._limit_s,
            inflight_records=self._budget.records,
            inflight_bytes=self._budget.bytes,
            positions={
                tp.partition: (lane.committable, lane.next_offset) for tp, lane in self._assignment.lanes.items()
            },
            tasks=sorted(f"{task.get_name()}: {task.get_stack(limit=1)}" for task in asyncio.all_tasks())[:100],
        )
        faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr)

    def _watch_loop(self, over: threading.Event) -> None:
        """On a thread of its own: the loop that should watch may itself stand still."""
        woke = time.monotonic()
        while not over.wait(_TICK_S):
            now, before = time.monotonic(), woke
            woke = now
            if now - before > _JUMP_S:
                self._beat = now  # the whole process stood still, not the loop alone
            elif now - self._beat > self._limit_s:
                # Saying so may block as well: on a log that nobody reads, or on the lock of who stands still.
                last_resort = threading.Timer(_SAY_S, os._exit, (FROZEN,))
                last_resort.daemon = True
                last_resort.start()
                log.error("the event loop stands still", seconds=round(now - self._beat, 1))
                faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr)
                os._exit(FROZEN)
