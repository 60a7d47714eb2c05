"""Transient trouble: try again with back-off and jitter, say once that and why, and once that it is over."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from errors import Transient
from telemetry import Metrics, logger

log = logger("consumer")
T = TypeVar("T")
_FIRST_S, _LONGEST_S = 0.1, 5.0


def backoff_s(attempt: int) -> float:
    """Full jitter below an exponentially growing bound; `attempt` counts from 0."""
    return random.uniform(0, min(_LONGEST_S, _FIRST_S * 2 ** min(attempt, 16))) + 0.05  # noqa: S311  (not a secret)


@dataclass(frozen=True, slots=True)
class Wait:
    """What the consumer waits for."""

    part: str
    why: str
    since: datetime


class Waits:
    """What this consumer waits for at the moment, for readiness, metrics and the offsets' metadata."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._current: dict[str, Wait] = {}

    @property
    def current(self) -> Wait | None:
        """The oldest trouble, or None."""
        return min(self._current.values(), key=lambda wait: wait.since, default=None)

    async def until_works(self, part: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat `attempt` until it raises no Transient. `part` is the reason in `scorer_paused{reason}`."""
        began, tries = time.monotonic(), 0
        while True:
            try:
                result = await attempt()
            except Transient as trouble:
                self._begin(part, str(trouble))
                await asyncio.sleep(max(backoff_s(tries), min(trouble.retry_after_s, _LONGEST_S) / 4))
                tries += 1
            else:
                if tries:
                    self._end(part, time.monotonic() - began)
                return result

    def _begin(self, part: str, why: str) -> None:
        if part not in self._current:
            self._current[part] = Wait(part, why, datetime.now(UTC))
            self._metrics.paused.labels(reason=part).set(1)
            log.warning("waiting", part=part, why=why)

    def _end(self, part: str, waited_s: float) -> None:
        if self._current.pop(part, None):
            self._metrics.paused.labels(reason=part).set(0)
            log.info("going on", part=part, waited_s=round(waited_s, 1))
