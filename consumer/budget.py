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
_RATE_WINDOW_S = 10.0
_PROCESS_MIB = 1536
"""What interpreter, model and one full batch take on a CPU before anything is in flight (measured: 1.4 GiB)."""


def share_bytes(settings: LifeSettings) -> int:
    """A quarter of what MEMORY_BUDGET_MB leaves beside the process itself: once for what is in flight, once for Kafka's
    buffers; the rest is for what is held twice on its way, and for what the allocator keeps.
    """
    return (settings.memory_budget_mb - _PROCESS_MIB) * 1024 * 1024 // 4


class Rate:
    """Events a second, as an exponentially decaying average over about ten seconds."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._at = time.monotonic()

    def add(self, events: int) -> None:
        self._weight = self._decayed() + events
        self._at = time.monotonic()

    def per_s(self) -> float:
        return self._decayed() / _RATE_WINDOW_S

    def _decayed(self) -> float:
        return self._weight * math.exp((self._at - time.monotonic()) / _RATE_WINDOW_S)


class Budget:
    """Records and bytes that were polled and not yet decided.

    In records the limit follows the measured rate, about two seconds of work, so that a drain and a rebalance are
    short on any hardware; in bytes it is `share_bytes`. (The core bounds decoded pixels.)
    """

    def __init__(self, settings: LifeSettings, metrics: Metrics) -> None:
        self.rate = Rate()
        self.cautious = False
        """An earlier owner of a partition crashed: as little as possible."""
        self.records = 0
        self.bytes = 0
        self._limit_bytes = share_bytes(settings)
        self._metrics = metrics
        self._changed = asyncio.Event()

    @property
    def limit_records(self) -> int:
        most = FEWEST_RECORDS if self.cautious else _MOST_RECORDS
        return min(most, max(FEWEST_RECORDS, int(self.rate.per_s() * _AHEAD_S)))

    def room(self) -> int:
        """Records that may be polled now: none until half is free, since many small polls cost too much."""
        free = self.limit_records - self.records
        return free if free >= self.limit_records // 2 and self.bytes < self._limit_bytes else 0

    @property
    def tight(self) -> bool:
        """Half of the bytes are taken: what waits may keep no more, so that the rest stays for what does not wait."""
        return self.bytes >= self._limit_bytes // 2

    def take(self, records: int, size: int) -> None:
        self.records += records
        self.bytes += size
        self._publish()

    def give(self, records: int, size: int) -> None:
        """Give back what was taken."""
        self.take(-records, -size)
        self._changed.set()

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
