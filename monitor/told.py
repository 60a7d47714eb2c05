"""What a consumer of ours told beside its committed offset; anybody's metadata may stand there instead."""

import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

_LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Told:
    """The metadata of one commit. Times in seconds since 1970."""

    at: float
    state: str
    """running, idle, waiting, held; moved: an operator set the offset."""
    why: str | None = None
    since: float | None = None
    oldest: float | None = None
    """Timestamp of the record at the committed offset, where it had been polled."""
    rate: float | None = None
    """Records a second of the whole member, over about ten seconds."""
    open: bool = True
    """False: its owner left the partition in peace."""
    bound: str | None = None
    """What limited the rate: engine, store, source, kafka."""
    dead: float | None = None
    """Share of dead letters among the records of the last minute."""
    top_reason: str | None = None
    joins: int | None = None
    """Rebalances that the member saw in the last five minutes."""

    @classmethod
    def read(cls, metadata: str | None) -> Self | None:
        """None where it is not ours."""
        try:
            return cls._of(json.loads(metadata or ""))
        except (ValueError, AttributeError, RecursionError, OverflowError):
            return None

    @classmethod
    def _of(cls, found: dict[str, Any]) -> Self | None:
        at, state = _time(found.get("at")), _text(found.get("state"))
        if at is None or state is None:
            return None
        oldest_ms = _number(found.get("oldest_ts"))
        joins = _number(found.get("joins"))
        return cls(
            at=at,
            state=state,
            why=_text(found.get("why")),
            since=_time(found.get("since")),
            oldest=oldest_ms / 1000 if oldest_ms else None,
            rate=_number(found.get("rate")),
            open=found.get("open") is not False,
            bound=_text(found.get("bound")),
            dead=_number(found.get("dead")),
            top_reason=_text(found.get("top_reason")),
            joins=None if joins is None else int(joins),
        )

    @property
    def stuck(self) -> bool:
        """It says itself that it does not go on."""
        return self.state in ("waiting", "held")

    @property
    def part(self) -> str | None:
        """What it waits for: store, broker, source, dead_letters, operator."""
        if self.state == "held":
            return "source"
        return self.why.partition(":")[0] if self.why and self.state == "waiting" else None


def _number(value: Any) -> float | None:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain and math.isfinite(value) and value >= 0 else None


def _text(value: Any) -> str | None:
    return value[:_LONGEST] if isinstance(value, str) and value else None


def _time(value: Any) -> float | None:
    if not isinstance(value, str):
        return None
    moment = datetime.fromisoformat(value)
    return moment.timestamp() if moment.tzinfo is not None else None
