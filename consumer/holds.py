"""Partitions whose next record waits for its source: they wait apart, and the others go on."""

import asyncio
import itertools
import re
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol

from consumer.budget import Budget
from consumer.items import Batch, Item
from consumer.lanes import Lane
from consumer.waits import Waits, backoff_s
from errors import Invalid, SourceExpired, SourceUnavailable
from schemas.events import ImageRef
from sources.fetcher import SourceFetcher
from telemetry import logger

log = logger("consumer")
PATIENCE_S = 1.0
"""How long a batch waits for its sources before the slow ones are taken out of it."""
_HELD_RECORDS = 32


class Line(Protocol):
    """What the worker does for the partitions that wait."""

    def start_scoring(self, batch: Batch) -> None:
        """These records of one partition are ready."""

    def discard(self, item: Item) -> None:
        """This record will not be decided now: it is delivered again."""

    def poll_again(self, lane: Lane, offset: int) -> None:
        """Go back in this partition, and deliver from `offset` on once more."""

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Start a task whose failure ends the worker."""


class Holds:
    """Fetches image_uris, and keeps the records of a partition in order behind one that is not there yet.

    A held partition keeps its next few records, so that their sources are asked at the same time; the rest is polled
    again later. What is held counts in bytes but not in records, and no more is kept or fetched ahead once half of the
    bytes are taken: others' records still fit.
    """

    def __init__(self, fetcher: SourceFetcher, deadline_s: float, budget: Budget, waits: Waits, line: Line) -> None:
        self._fetcher = fetcher
        self._deadline_s = deadline_s
        self._budget = budget
        self._waits = waits
        self._line = line
        self._waiting: dict[Lane, list[Item]] = {}

    async def sieve(self, batch: Batch) -> Batch:
        """Start the fetches of a batch, wait a little, and hold what is not there, with all behind it in its lane."""
        for item in batch.open():
            if item.refusal is None and item.event is not None and isinstance(item.event.image, ImageRef):
                item.fetching = self._line.spawn(self._fetch(item, item.event.image), name="fetch")
        pending = [item.fetching for item in batch.items if item.fetching and item.lane not in self._waiting]
        if pending:
            await asyncio.wait(pending, timeout=PATIENCE_S)
        ready = []
        for item in batch.items:
            if item.lane.closing and not item.ready:
                self._drop(item)
            elif item.lane in self._waiting:
                self._hold_behind(item)
            elif not item.ready:
                self._hold(item)
            else:
                ready.append(item)
        return batch.only(ready)

    def give_up(self) -> None:
        """Drop all that is held, uncommitted: whoever owns the partition next begins with it."""
        for items in self._waiting.values():
            for item in items:
                self._budget.take(1, 0)
                self._drop(item)
            items.clear()

    def _hold(self, item: Item) -> None:
        lane, offset = item.lane, item.record.at.offset
        assert item.event is not None
        assert isinstance(item.event.image, ImageRef)
        host = host_of(item.event.image.uri)
        self._waiting[lane] = [item]
        self._budget.give(1, 0)
        lane.held = f"waiting for the source of offset {offset}" + (f" ({host})" if host else "")
        lane.held_since = datetime.now(UTC)
        lane.crashes.tried = False
        self._waits.apart("source", len(self._waiting))
        log.info("partition held", partition=lane.partition.partition, offset=offset)
        self._line.spawn(self._wait(lane), name=f"hold-{lane.partition.partition}")

    def _hold_behind(self, item: Item) -> None:
        held, offset = self._waiting[item.lane], item.record.at.offset
        if offset >= item.lane.next_offset:
            self._drop(item)
        elif len(held) < _HELD_RECORDS and not self._budget.tight:
            self._budget.give(1, 0)
            held.append(item)
        else:
            self._line.poll_again(item.lane, offset)
            self._drop(item)

    async def _wait(self, lane: Lane) -> None:
        items = self._waiting[lane]
        while items:
            if items[0].fetching is not None:
                await asyncio.wait([items[0].fetching])
            ready = list(itertools.takewhile(lambda item: item.ready, items))
            if ready:
                del items[: len(ready)]
                self._budget.take(len(ready), 0)
                self._line.start_scoring(Batch(ready))
        del self._waiting[lane]
        self._waits.apart("source", len(self._waiting))
        lane.held = lane.held_since = None
        log.info("partition goes on", partition=lane.partition.partition)

    def _drop(self, item: Item) -> None:
        if item.fetching is not None:
            item.fetching.cancel()
        self._line.discard(item)

    async def _fetch(self, item: Item, ref: ImageRef) -> None:
        """Until the image is there, is refused for good, or the deadline has passed."""
        began, attempt = 0.0, 0
        while True:
            while self._must_wait(item):
                await self._budget.change(1.0)
            try:
                async with item.lane.fetch_slots:
                    if self._must_wait(item):
                        continue  # others were faster, and what must wait may not keep a slot
                    began = began if attempt else time.monotonic()
                    item.image = await self._fetcher.fetch(ref)
                item.fetched_bytes = len(item.image)
                self._budget.take(0, item.fetched_bytes)
            except Invalid as refusal:
                item.refusal = refusal
            except SourceUnavailable as trouble:
                pause_s = max(backoff_s(attempt), trouble.retry_after_s)
                attempt += 1
                tried_s = time.monotonic() - began
                if tried_s + pause_s < self._deadline_s:
                    await asyncio.sleep(pause_s)
                    continue
                item.refusal = SourceExpired(f"{trouble} (tried {attempt} times in {tried_s:.0f} s)")
            return

    def _must_wait(self, item: Item) -> bool:
        """An image is fetched ahead only where there is room; the next record of a partition always gets its own."""
        return self._budget.tight and item.lane.committable != item.record.at.offset


def host_of(uri: str) -> str:
    """Host or bucket of an image_uri, and no more of it: credentials and queries are secrets. Empty for a file."""
    behind_scheme = uri.partition("://")[2]
    return re.split(r"[/?#\\]", behind_scheme, maxsplit=1)[0].rpartition("@")[2]
