"""How this member is doing: told beside each committed offset, where Kafka keeps it for who watches the group."""

import json
import math
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

from consumer.assignment import Assignment
from consumer.budget import Budget, Rate
from consumer.lanes import Lane
from consumer.waits import Waits

Part = Literal["kafka", "source", "engine", "store"]
"""What a loop of the worker may wait for; "kafka": for records."""
_LONGEST_WHY = 500
_STAGE_WINDOW_S = 15.0
_FATES_WINDOW_S = 60.0
_JOINS_WITHIN_S = 300.0


class Stage:
    """Where the time of one loop goes, of late: an exponentially decaying sum for each part that it waits for."""

    def __init__(self) -> None:
        self._spent: dict[Part, float] = {}
        self._part: Part = "kafka"
        self._since = time.monotonic()

    def on(self, part: Part) -> None:
        """From now on it waits for `part`."""
        self._spent = self._until_now()
        self._part, self._since = part, time.monotonic()

    def worst(self) -> Part:
        """What most of the time went to; a wait that goes on counts."""
        spent = self._until_now()
        return max(spent, key=lambda part: spent[part])

    def _until_now(self) -> dict[Part, float]:
        passed_s = time.monotonic() - self._since
        keeps = math.exp(-passed_s / _STAGE_WINDOW_S)
        spent = {part: seconds * keeps for part, seconds in self._spent.items()}
        spent[self._part] = spent.get(self._part, 0.0) + (1 - keeps) * _STAGE_WINDOW_S
        return spent


class Condition:
    """What is told, as JSON below 4 KB:

    `at`, `state` (running, waiting, held, idle), `why` and `since` of a wait; `oldest_ts`: timestamp in ms of the
    partition's oldest undecided record; `rate`: records decided a second; `bound`: what the work waits for most, null
    when there is none; `dead` and `top_reason`: share of dead letters among what was decided in about the last minute,
    and the commonest reason; `joins`: assignments in the last five minutes; and what `Crashes` tells the next owner.
    """

    def __init__(self, assignment: Assignment, waits: Waits, budget: Budget) -> None:
        self.preparing = Stage()
        self.settling = Stage()
        self._assignment = assignment
        self._waits = waits
        self._budget = budget
        self._decided = Rate(_FATES_WINDOW_S)
        self._dead: dict[str, Rate] = {}

    def decided(self, records: int, reasons: Iterable[str]) -> None:
        """So many records have their outcome; `reasons`: of the dead letters among them."""
        self._decided.add(records)
        for reason, count in Counter(reasons).items():
            self._dead.setdefault(reason, Rate(_FATES_WINDOW_S)).add(count)

    def told(self, lane: Lane, *, leaving: bool) -> str:
        """For one partition. `leaving`: this is our farewell."""
        wait = self._waits.current
        state, why, since = "running", None, None
        if wait is not None:
            state, why, since = "waiting", f"{wait.part}: {wait.why}", wait.since.isoformat()
        elif lane.held is not None:
            state, why = "held", lane.held
            since = lane.held_since.isoformat() if lane.held_since else None
        elif lane.idle:
            state = "idle"
        return json.dumps(
            {
                "at": datetime.now(UTC).isoformat(),
                "state": state,
                "why": why[:_LONGEST_WHY] if why else None,
                "since": since,
                "oldest_ts": lane.oldest_timestamp_ms,
                "rate": round(self._budget.rate.per_s(), 2),
                "bound": self._bound(),
                **self._fates(),
                "joins": self._assignment.joins(_JOINS_WITHIN_S),
                **lane.crashes.told(open_=not leaving, waiting=wait is not None or lane.held is not None),
            }
        )

    def _bound(self) -> Part | None:
        """The later loop knows first: when it waits for records, the one before it may know why.

        Between two batches nothing is in flight, and what bounds them is the same.
        """
        worst = self.settling.worst()
        if worst == "kafka":
            worst = self.preparing.worst()
        return None if worst == "kafka" and not self._budget.records else worst

    def _fates(self) -> dict[str, Any]:
        decided = self._decided.per_s()
        dead = {reason: rate.per_s() for reason, rate in self._dead.items()}
        if decided * _FATES_WINDOW_S < 1:
            return {"dead": None, "top_reason": None}
        share = sum(dead.values()) / decided
        return {"dead": round(share, 3), "top_reason": max(dead, key=lambda reason: dead[reason]) if share else None}
