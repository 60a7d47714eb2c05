"""Numbers, times and durations as people say them."""

from datetime import UTC, datetime
from typing import Final

_UNITS: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def span(seconds: float) -> str:
    """0.4 s, 45 s, 12 min, 3 h, 2 d: rounded as one would say it."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    size, unit = next((size, unit) for size, unit in _UNITS if seconds >= 1.5 * size)
    return f"{seconds / size:.0f} {unit}"


def count(number: int, what: str) -> str:
    """1 record, 1,234 records."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def rate(per_s: float) -> str:
    """Records a second."""
    return f"{per_s:,.0f}/s" if per_s >= 9.95 else f"{per_s:.1f}/s"


def clock(at: float, now: float) -> str:
    """The time of day in UTC, with its date where it is not of the last 20 hours."""
    form = "%H:%M:%SZ" if now - at < 20 * 3600 else "%Y-%m-%d %H:%M:%SZ"
    return datetime.fromtimestamp(at, UTC).strftime(form)
