"""Transient trouble: try again with back-off and jitter, say once that and why, and once that it is over."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from errors import Transient
from telemetry import Metrics, logger

log = logger("consumer")
T = TypeVar("T")
_FIRST_S, _LONGEST_S = 0.1, 2.0


def backoff_s(attempt: int) -> float:
    """Full jitter below an exponentially growing bound; `attempt` counts from 0."""
    return random.uniform(0, min(_LONGEST_S, _FIRST_S * 2 ** min(attempt, 16))) + 0.05  # noqa: S311  (not a secret)


@dataclass(frozen=True, slots=True)
class Wait:
    """What the consumer waits for."""

    part: str
    why: str
    since: datetime
    meant: bool = False
    """Somebody wants it: nothing is wrong."""


class Waits:
    """What this consumer waits for at the moment, for readiness, metrics and the offsets' metadata."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.changed: Callable[[], None] = lambda: None
        """Called when a wait begins or ends, of the whole consumer or of a partition."""
        self._current: dict[tuple[str, str], Wait] = {}

    @property
    def current(self) -> Wait | None:
        """The oldest, or None."""
        return min(self._current.values(), key=lambda wait: wait.since, default=None)

    @property
    def trouble(self) -> Wait | None:
        """The oldest that nobody wants, or None."""
        unwanted = (wait for wait in self._current.values() if not wait.meant)
        return min(unwanted, key=lambda wait: wait.since, default=None)

    async def until_works(self, part: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat `attempt` until it raises no Transient. `part` is the reason in `scorer_paused{reason}`."""
        tries = 0
        while True:
            began = datetime.now(UTC)
            try:
                result = await attempt()
            except Transient as trouble:
                # It may have taken seconds to find out.
                self.begin(part, str(trouble), since=began)
                await asyncio.sleep(max(backoff_s(tries), min(trouble.retry_after_s, _LONGEST_S) / 4))
                tries += 1
            else:
                if tries:
                    self.end(part)
                return result

    def begin(self, part: str, why: str, *, who: str = "", since: datetime | None = None, meant: bool = False) -> None:
        """`part` is away; said once until `end`. `who` tells apart those that find out independently.

        `since`: where it began before we noticed. `meant`: somebody wants us to wait.
        """
        if (part, who) not in self._current:
            self._current[part, who] = Wait(part, why, since or datetime.now(UTC), meant)
            self._metrics.paused.labels(reason=part).set(1)
            log.warning("waiting", part=part, why=why)
            self.changed()

    def apart(self, part: str, partitions: int) -> None:
        """So many partitions wait for `part` by themselves, while the others go on."""
        self._metrics.paused.labels(reason=part).set(1 if partitions else 0)
        self.changed()

    def end(self, part: str, *, who: str = "") -> None:
        """`part` works again."""
        if wait := self._current.pop((part, who), None):
            if not any(still == part for still, _ in self._current):
                self._metrics.paused.labels(reason=part).set(0)
            waited_s = (datetime.now(UTC) - wait.since).total_seconds()
            log.info("going on", part=part, waited_s=round(waited_s, 1))
            self.changed()
