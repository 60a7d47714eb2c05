"""The table of a soak: what was injected how often, what it cost, and how soon the group was at work again."""

import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.faults.history import History
from tests.faults.verdict import Verdict, because_of
from tests.faults.world import Blow

HEAD = ("fault", "times", "records decided meanwhile", "lost", "doubled", "wrong", "recovery s, median", "max")
WITHOUT_FAULT = "no fault"
SHOWN = 50


@dataclass(frozen=True, slots=True)
class Struck:
    """One injection."""

    fault: str
    blow: Blow


@dataclass(frozen=True, slots=True)
class Line:
    """What all injections of one kind came to."""

    fault: str
    times: int
    decided: int
    counts: tuple[int, int, int]
    """Lost, doubled, wrong (commits that went too far among them)."""
    recovery_s: tuple[float, ...]

    def cells(self) -> tuple[str, ...]:
        worst = (f"{median(self.recovery_s):.1f}", f"{max(self.recovery_s):.1f}") if self.recovery_s else ("", "")
        return (self.fault, str(self.times), str(self.decided), *map(str, self.counts), *worst)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        lost, doubled, wrong = self.counts
        return {
            "fault": self.fault, "times": self.times, "decided": self.decided, "lost": lost, "doubled": doubled,
            "wrong": wrong, "recovery_s": [round(seconds, 2) for seconds in self.recovery_s],
        }  # fmt: skip


def lines(struck: Sequence[Struck], history: History, verdict: Verdict) -> list[Line]:
    """One line a kind of fault, in the order in which they came first."""
    written = _written(history)
    blamed = _blamed(struck, history, verdict)
    by_fault: defaultdict[str, list[Blow]] = defaultdict(list)
    for one in struck:
        by_fault[one.fault].append(one.blow)
    found = []
    for fault, blows in by_fault.items():
        recovery_s = tuple(seconds for blow in blows if (seconds := _recovery_s(blow, written)) is not None)
        decided = sum(_decided(blow, written) for blow in blows)
        found.append(Line(fault, len(blows), decided, _counts(blamed[fault]), recovery_s))
    if blamed[WITHOUT_FAULT]:
        found.append(Line(WITHOUT_FAULT, 0, 0, _counts(blamed[WITHOUT_FAULT]), ()))
    return found


def markdown(table: Iterable[Line]) -> str:
    """The table, with a last line that adds up."""
    table = list(table)
    counts = [sum(line.counts[place] for line in table) for place in range(3)]
    recovery_s = tuple(seconds for line in table for seconds in line.recovery_s)
    total = Line("**all**", sum(line.times for line in table), sum(line.decided for line in table),
                 (counts[0], counts[1], counts[2]), recovery_s)  # fmt: skip
    rows = [HEAD, ("---", *["---:"] * (len(HEAD) - 1)), *(line.cells() for line in [*table, total])]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def findings(verdict: Verdict) -> str:
    """The findings in words, the first ones of each kind."""
    return "".join(f"- {kind}: {finding}\n" for kind, found in verdict.findings().items() for finding in found[:SHOWN])


def _written(history: History) -> dict[int, list[float]]:
    """Times of the transactions that wrote each partition's rows, in order."""
    written: defaultdict[int, list[float]] = defaultdict(list)
    for row in history.scores:
        written[row.place[0]].append(row.at_s)
    for letter in history.dead_letters:
        written[letter.place[0]].append(letter.at_s)
    return {partition: sorted(times) for partition, times in written.items()}


def _recovery_s(blow: Blow, written: dict[int, list[float]]) -> float | None:
    """Seconds from the end of a fault until every partition that was at work before got a row again."""
    waits = []
    for times in written.values():
        after = bisect.bisect_right(times, blow.over_s)
        if 0 < after < len(times):
            waits.append(times[after] - blow.over_s)
    return max(waits, default=None)


def _decided(blow: Blow, written: dict[int, list[float]]) -> int:
    until_s = blow.over_s + (_recovery_s(blow, written) or 0.0)
    return sum(
        bisect.bisect_right(times, until_s) - bisect.bisect_left(times, blow.began_s) for times in written.values()
    )


def _blamed(struck: Sequence[Struck], history: History, verdict: Verdict) -> defaultdict[str, Counter[str]]:
    """Findings by the fault that was the last to begin before they came about."""
    blamed: defaultdict[str, Counter[str]] = defaultdict(Counter)
    began = [one.blow.began_s for one in struck]
    for kind, found in verdict.findings().items():
        for finding in found:
            before = bisect.bisect_right(began, because_of(finding, history))
            blamed[struck[before - 1].fault if before else WITHOUT_FAULT][kind] += 1
    return blamed


def _counts(blamed: Counter[str]) -> tuple[int, int, int]:
    return blamed["lost"], blamed["doubled"], blamed["wrong"] + blamed["too far"]
