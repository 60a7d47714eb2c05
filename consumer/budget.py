"""How much may be in flight, in records and bytes: the consumer's backpressure."""

import asyncio
import math
import time
from contextlib import suppress

from settings import LifeSettings
from telemetry import Metrics

_AHEAD_S = 2.0
FEWEST_RECORDS = 64
_MOST_RECORDS = 1024
_MOST_QUICK_RECORDS = 8 * 1024
"""Where scoring has shown to be quick: a few batches of `_BATCH_RECORDS`, one in each hop."""
_BATCH_RECORDS = 2048
"""Of one poll: enough that the round trips of a batch cost little, few enough that none blocks the event loop long."""
_RATE_WINDOW_S = 10.0
_SPEED_WINDOW_S = 5.0
_PROCESS_MIB = 1536
"""What interpreter, model and one full batch take on a CPU before anything is in flight (measured: 1.4 GiB)."""


def share_bytes(settings: LifeSettings) -> int:
    """A quarter of what MEMORY_BUDGET_MB leaves beside the process itself: once for what is in flight, once for Kafka's
    buffers; the rest is for what is held twice on its way, and for what the allocator keeps.
    """
    return (settings.memory_budget_mb - _PROCESS_MIB) * 1024 * 1024 // 4


class Rate:
    """Events a second, as an exponentially decaying average over about `window_s`."""

    def __init__(self, window_s: float = _RATE_WINDOW_S) -> None:
        self._window_s = window_s
        self._weight = 0.0
        self._at = time.monotonic()

    def add(self, events: int) -> None:
        self._weight = self._decayed() + events
        self._at = time.monotonic()

    def per_s(self) -> float:
        return self._decayed() / self._window_s

    def _decayed(self) -> float:
        return self._weight * math.exp((self._at - time.monotonic()) / self._window_s)


class Speed:
    """Records a second while any are in flight, over the last seconds of that: how fast it goes when there is work."""

    def __init__(self) -> None:
        self._records = 0.0
        self._busy_s = 0.0

    def add(self, records: int, busy_s: float) -> None:
        keeps = math.exp(-busy_s / _SPEED_WINDOW_S)
        self._records = self._records * keeps + records
        self._busy_s = self._busy_s * keeps + busy_s

    def per_s(self) -> float:
        return self._records / self._busy_s if self._busy_s else 0.0


class Budget:
    """Records and bytes that were polled and not yet decided.

    In records the limit follows the measured rate, about two seconds of work, so that a drain and a rebalance are
    short on any hardware; in bytes it is `share_bytes`. (The core bounds decoded pixels.) Beyond `_MOST_RECORDS` only
    those count that went through the engine: a flood of duplicates says nothing about what comes after it.
    """

    def __init__(self, settings: LifeSettings, metrics: Metrics) -> None:
        self.rate = Rate()
        self._scoring = Speed()
        self._busy_since = time.monotonic()
        self.cautious = False
        """An earlier owner of a partition crashed: as little as possible."""
        self.records = 0
        self.bytes = 0
        self._limit_bytes = share_bytes(settings)
        self._metrics = metrics
        self._changed = asyncio.Event()

    @property
    def limit_records(self) -> int:
        if self.cautious:
            return FEWEST_RECORDS
        decided = min(_MOST_RECORDS, int(self.rate.per_s() * _AHEAD_S))
        scored = min(_MOST_QUICK_RECORDS, int(self._scoring.per_s() * _AHEAD_S))
        return max(FEWEST_RECORDS, decided, scored)

    def room(self) -> int:
        """Records that may be polled now, at most half of the limit: so the device has the next batch while one is
        written and another one is polled. None until a quarter is free, since many small polls cost too much.
        """
        limit = self.limit_records
        free = min(limit - self.records, limit // 2, _BATCH_RECORDS)
        return free if free >= min(limit // 4, _BATCH_RECORDS) and self.bytes < self._limit_bytes else 0

    @property
    def tight(self) -> bool:
        """Half of the bytes are taken: what waits may keep no more, so that the rest stays for what does not wait."""
        return self.bytes >= self._limit_bytes // 2

    def take(self, records: int, size: int) -> None:
        if not self.records:
            self._busy_since = time.monotonic()
        self.records += records
        self.bytes += size
        self._publish()

    def give(self, records: int, size: int) -> None:
        """Give back what was taken."""
        self.take(-records, -size)
        self._changed.set()

    def decided(self, records: int, size: int, *, scored: int) -> None:
        """Give back what has its outcome; `scored` of these records went through the engine."""
        now = time.monotonic()
        self._scoring.add(scored, now - self._busy_since)
        self._busy_since = now
        self.rate.add(records)
        self.give(records, size)

    async def change(self, timeout_s: float) -> None:
        """Wait until something is given back, or the time has passed."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()

    async def empty(self) -> None:
        """Wait until nothing is in flight."""
        while self.records:
            await self.change(1.0)

    def _publish(self) -> None:
        self._metrics.inflight_records.set(self.records)
        self._metrics.inflight_bytes.set(self.bytes)
