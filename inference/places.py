"""Places inside the core for interactive callers: who would wait too long is refused at once, and told when to come."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from errors import Overloaded
from telemetry import Metrics

MEMORY_S = 5.0
"""How long after its last caller the interactive class still counts as around."""


class Places:
    """Held by an interactive caller from before its decode to its answer, so that everything behind is bounded.

    (The stream needs none: its images wait encoded, and its caller holds them anyway.) Lives on one event loop.
    """

    def __init__(self, most: int, wait_s: Callable[[int], float], metrics: Metrics) -> None:
        """`wait_s(n)`: seconds until the n-th interactive image inside, counted from the next to come out, is out."""
        self._most = most
        self._wait_s = wait_s
        self._metrics = metrics
        self._inside = 0
        self._seen = float("-inf")
        self._promised = float("-inf")

    def around(self, now: float) -> bool:
        """Whether a request may well come in while the next batch runs. `now` is time.perf_counter()."""
        return self._inside > 0 or now - self._seen < MEMORY_S

    @contextmanager
    def hold(self, deadline_s: float) -> Iterator[None]:
        """A place. Raises Overloaded when all are taken, or the answer is not to be expected within `deadline_s`."""
        if self._inside >= self._most:
            self._metrics.refused.labels("queue_full").inc()
            raise Overloaded(f"{self._inside} images are waiting already", retry_after_s=self._promise())
        if (wait_s := self._wait_s(self._inside + 1)) > deadline_s:
            self._metrics.refused.labels("deadline").inc()
            raise Overloaded(
                f"the answer is to be expected in {wait_s:.1f} s, and the caller waits {deadline_s:g} s at most",
                retry_after_s=round(wait_s - deadline_s, 1),
            )
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            self._seen = time.perf_counter()

    def _promise(self) -> float:
        """Seconds until a place is free for this caller. Those who were refused before have theirs promised first."""
        now, each_s = time.perf_counter(), self._wait_s(self._most) / self._most
        self._promised = max(now + self._wait_s(1), self._promised + each_s)
        # Not everybody comes back: behind a whole house nobody is sent.
        self._promised = min(self._promised, now + self._wait_s(self._most))
        return math.ceil(10 * (self._promised - now)) / 10
