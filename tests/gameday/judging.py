"""Was the reason right, and soon enough? Judges what was seen of one fault; knows no process and no clock."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Door = Literal["lag", "/lag"]
DOORS: tuple[Door, ...] = ("lag", "/lag")
"""The command, and the HTTP request."""
UNKNOWN = "UNKNOWN"
"""In the place of a status: nothing is known, and it is said why."""
INTERVALS = 2
"""So many sample intervals after it can be seen the reason must be right."""
STEADY = 0.9
"""Share of the later looks that must still give it."""


@dataclass(frozen=True, slots=True)
class Look:
    """One answer. `at_s`: when it was there, in seconds since the fault began; negative: before."""

    at_s: float
    door: Door
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert that fired. `at_s` as above."""

    at_s: float
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expected:
    """What a right answer to a fault is."""

    words: str
    """A regular expression that the reason matches."""
    statuses: frozenset[str]
    """Any of these; none: whatever the status."""
    alerts: tuple[str, ...]
    """All of these fire."""
    partition: int | None = None
    """Where alerts and reason name a partition, this one."""
    event: bool = False
    """It is over in a moment: afterwards only who has watched can tell, and `lag` has not."""

    def right(self, look: Look) -> bool:
        """Whether this look gives the reason."""
        return re.search(self.words, look.reason) is not None and (not self.statuses or look.status in self.statuses)

    def fired(self, name: str, alerts: Sequence[Alert]) -> Alert | None:
        """The first alert of that name."""
        own = None if self.partition is None else str(self.partition)
        found = (a for a in alerts if a.name == name and (own is None or a.labels.get("partition", own) == own))
        return min(found, key=lambda alert: alert.at_s, default=None)


@dataclass(frozen=True, slots=True)
class Seen:
    """All that was seen of one fault."""

    looks: Sequence[Look]
    alerts: Sequence[Alert] | None
    """None: there was no Prometheus."""
    visible_s: float
    """When it can be seen at all, in seconds since it began."""
    healed_s: float
    """When it was mended."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one door said."""

    right_s: float | None
    """When it gave the reason first; None: never."""
    said: Look | None
    """That look; else the last one."""
    steady: float
    """Share of the looks from then on that gave it."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """`wrong` in words; nothing there: all was right."""

    answers: Mapping[Door, Answer]
    allowed_s: float
    fired: Mapping[str, float | None]
    """When each alert that belongs to the fault fired; None: it did not."""
    beside: Mapping[str, float]
    """Others that fired meanwhile."""
    wrong: tuple[str, ...]


def judge(expected: Expected, seen: Seen, interval_s: float) -> Judgement:
    """`interval_s`: from one sample of the lag to the next."""
    allowed_s = seen.visible_s + INTERVALS * interval_s
    answers = {door: _answer(expected, seen, door) for door in DOORS}
    alerts = seen.alerts or ()
    found = {name: expected.fired(name, alerts) for name in expected.alerts if seen.alerts is not None}
    fired = {name: None if alert is None else alert.at_s for name, alert in found.items()}
    beside: dict[str, float] = {}
    for alert in sorted(alerts, key=lambda alert: alert.at_s):
        if alert not in found.values() and alert.name not in fired:
            beside.setdefault(alert.name, alert.at_s)
    wrong = [
        words
        for door, answer in answers.items()
        for words in _wrong(door, answer, allowed_s, stays=not (expected.event and door == "lag"))
    ]
    wrong += [f"`{look.door}` gave the reason before there was one" for look in seen.looks
              if look.at_s < 0 and expected.right(look)][:1]  # fmt: skip
    wrong += [f"{name} did not fire" for name, at_s in fired.items() if at_s is None]
    wrong += [f"{name} fired before the fault" for name, at_s in fired.items() if at_s is not None and at_s < 0]
    return Judgement(answers, allowed_s, fired, beside, tuple(wrong))


def _answer(expected: Expected, seen: Seen, door: Door) -> Answer:
    looks = [look for look in seen.looks if look.door == door and 0 <= look.at_s <= seen.healed_s]
    first = next((number for number, look in enumerate(looks) if expected.right(look)), None)
    if first is None:
        return Answer(None, looks[-1] if looks else None, 0.0)
    later = looks[first:]
    return Answer(looks[first].at_s, looks[first], sum(map(expected.right, later)) / len(later))


def _wrong(door: Door, answer: Answer, allowed_s: float, *, stays: bool) -> list[str]:
    if answer.right_s is None:
        last = f"{answer.said.status}: {answer.said.reason}" if answer.said else "nothing"
        return [f"`{door}` never gave the reason; it said last: {last}"]
    found = []
    if answer.right_s > allowed_s:
        found.append(f"`{door}` gave the reason after {answer.right_s:.1f} s, and {allowed_s:.1f} s are allowed")
    if stays and answer.steady < STEADY:
        found.append(f"`{door}` gave the reason in only {answer.steady:.0%} of the looks after the first")
    return found


def judge_healthy(looks: Sequence[Look], alerts: Sequence[Alert] | None) -> tuple[str, ...]:
    """What was wrong while nothing was: every look must be OK, and no alert may fire."""
    said = [f"`{look.door}` said {look.status} at {look.at_s:.0f} s: {look.reason}" for look in looks
            if look.status != "OK"]  # fmt: skip
    return (*said, *(f"{alert.name} fired at {alert.at_s:.0f} s" for alert in alerts or ()))
