"""The safety limit: a flood of dead letters stops the group before a broken deploy drains its topic into the DLQ."""

import math
from collections import Counter, deque
from collections.abc import Sequence

from consumer.waits import Waits
from errors import Invalid, SafetyLimit
from settings import ConsumerSettings
from store.groups import Group, Stop
from store.store import Store
from telemetry import logger

log = logger("consumer")


class DeadLetterLimit:
    """At most so many dead letters among the last decided records of the topic, counted in the store over ten minutes.

    The stop holds for the whole group and for each restart, until an operator resumes it. Then counting begins at zero:
    as many dead letters may go out again. Members count apart, so several of them together may go beyond the limit by
    what they have in flight at that moment.
    """

    def __init__(self, settings: ConsumerSettings, store: Store, cluster_id: str, waits: Waits) -> None:
        self._group = Group(cluster_id, settings.kafka_topic, settings.kafka_group_id)
        self._window = settings.dead_letter_limit_window
        # Rounded first: as floats, 0.07 of 100 is a little more than 7.
        self._limit = max(1, math.ceil(round(settings.dead_letter_limit_ratio * self._window, 6)))
        self._store = store
        self._waits = waits

    async def before_start(self) -> None:
        """Raises SafetyLimit while the group is stopped."""
        stop = await self._waits.until_works("store", lambda: self._store.stopped(self._group))
        if stop is not None:
            raise self._refusal(stop)

    async def admit(self, refusals: Sequence[Invalid | None]) -> int:
        """How many of these records, from the first on, may be decided now: all before the first one too many.

        `refusals` says, a record each, why it becomes a dead letter (None: it does not). To be asked before anything of
        them is published, and again for the rest: where the very first is one too many the group is stopped, and
        SafetyLimit raised. Costs a query only where there are refusals.
        """
        if all(refusal is None for refusal in refusals):
            return len(refusals)
        recent = await self._waits.until_works("store", lambda: self._store.recent(self._group, self._window))
        if recent.stopped:
            await self.before_start()
            return 0  # it was resumed just now: count anew
        decided = deque(reversed(recent.reasons), maxlen=self._window)
        dead = sum(reason is not None for reason in decided)
        for admitted, refusal in enumerate(refusals):
            if refusal is not None and dead >= self._limit:
                if admitted == 0:
                    await self._stop(decided)
                return admitted
            if len(decided) == self._window:
                dead -= decided[0] is not None
            decided.append(refusal.reason if refusal is not None else None)
            dead += refusal is not None
        return len(refusals)

    async def _stop(self, decided: Sequence[str | None]) -> None:
        reasons = Counter(reason for reason in decided if reason is not None)
        ((worst, _),) = reasons.most_common(1)
        why = (
            f"{reasons.total()} of the last {len(decided)} records became dead letters within ten minutes, "
            f"most of them {worst} (the limit is {self._limit} of {self._window})"
        )
        log.error("too many dead letters", why=why, reasons=dict(reasons))
        await self._waits.until_works("store", lambda: self._store.stop_group(self._group, why))
        await self.before_start()

    def _refusal(self, stop: Stop) -> SafetyLimit:
        return SafetyLimit(
            f"group {self._group.group_id} on topic {self._group.topic} is stopped since "
            f"{stop.at:%Y-%m-%dT%H:%M:%SZ}: {stop.why}; `streamscorer dlq list` shows them, "
            "`streamscorer dlq resume` lets it go on"
        )
