"""Places inside the core, for two classes: a full house refuses requests at once and lets the stream wait."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from errors import Overloaded
from telemetry import Metrics

Priority = Literal["interactive", "stream"]
INTERACTIVE_MEMORY_S = 5.0
"""How long after its last caller the interactive class still counts as around."""


class Places:
    """Held by a caller from before its decode to its answer, so that everything behind is bounded."""

    def __init__(self, each: int, metrics: Metrics) -> None:
        """`each` class has that many places."""
        self._each = each
        self._metrics = metrics
        self._interactive = 0
        self._interactive_seen = float("-inf")
        self._stream = asyncio.Semaphore(each)

    def interactive_around(self, now: float) -> bool:
        """Whether a request may well come in while the next batch runs. `now` is time.monotonic()."""
        return self._interactive > 0 or now - self._interactive_seen < INTERACTIVE_MEMORY_S

    @asynccontextmanager
    async def hold(self, priority: Priority, seconds_per_image: float) -> AsyncIterator[None]:
        """A place. Raises Overloaded with the expected wait; waits instead where `priority` is stream."""
        if priority == "stream":
            async with self._stream:
                yield
            return
        if self._interactive >= self._each:
            self._metrics.refused.labels("queue_full").inc()
            wait_s = max(1.0, self._interactive * seconds_per_image)
            raise Overloaded(f"{self._interactive} images are waiting already", retry_after_s=round(wait_s, 1))
        self._interactive += 1
        try:
            yield
        finally:
            self._interactive -= 1
            self._interactive_seen = time.monotonic()
