"""The group in one sentence: behind or not, where, why, since when, and when it will be done."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from monitor.eta import Eta
from monitor.finding import Finding, Group
from monitor.why import asides, cause, lost
from monitor.words import clock, count, rate, span
from schemas.lag import SEVERITIES, Status

_HOT_LAG: Final = 0.6
_HOT_SHARE: Final = 0.5
_TIMES_FAIR: Final = 1.5
_ASIDES: Final = 2


def worst(findings: Sequence[Finding]) -> list[Finding]:
    """Worst first: by status, then by age of the oldest record, then by lag."""

    def badness(found: Finding) -> tuple[int, float, int]:
        evidence = found.evidence
        return SEVERITIES.index(found.status), evidence.time_lag_s or 0.0, evidence.lag

    in_order = sorted(findings, key=lambda found: found.sample.place)
    return sorted(in_order, key=badness, reverse=True)


def status_of(findings: Sequence[Finding]) -> Status:
    """A group is as bad as its worst partition."""
    return max((found.status for found in findings), key=SEVERITIES.index, default="OK")


def verdict(findings: Sequence[Finding], group: Group, eta: Eta | None) -> str:
    """`findings` worst first."""
    if not findings:
        return "there is nothing to consume: the group has no partitions"
    lag = sum(found.evidence.lag for found in findings)
    first = findings[0]
    if first.status == "OK" and not any(found.evidence.late for found in findings):
        return _well(findings, group, lag)
    ages = [age for found in findings if (age := found.evidence.time_lag_s) is not None]
    oldest = f" (the oldest waits for {span(max(ages))})" if ages else ""
    reason = _with_asides(_reason(findings, group), findings, group)
    since = f" (since {clock(first.since, group.now)})" if first.status == "WARN" and first.since else ""
    return f"{count(lag, 'record')} behind{oldest}{_where(findings)}{since}: {reason}{_end(first, eta)}"


def hot(findings: Sequence[Finding]) -> tuple[Finding, float, float] | None:
    """The partition that most of the lag is in and most records go to, with its share of both."""
    lag = sum(found.evidence.lag for found in findings)
    arrived = sum(found.arrived for found in findings)
    if len(findings) < 2 or not lag or not arrived:
        return None
    most = max(findings, key=lambda found: found.evidence.lag)
    share = most.arrived / arrived
    fair = min(0.9, _TIMES_FAIR / len(findings))
    behind = most.evidence.lag / lag
    return (most, behind, share) if behind >= _HOT_LAG and share >= max(_HOT_SHARE, fair) else None


def _well(findings: Sequence[Finding], group: Group, lag: int) -> str:
    ages = [found.evidence.time_lag_s or 0.0 for found in findings]
    waits = f"{count(lag, 'record')} wait, the oldest for {span(max(ages))}" if lag else "nothing waits"
    flow = f", {rate(group.rates.consumed)} are consumed" if group.rates is not None and group.rates.consumed else ""
    text = f"keeps up: {waits} in {count(len(findings), 'partition')}{flow}"
    return _with_asides(text, findings, group)


def _with_asides(text: str, findings: Sequence[Finding], group: Group) -> str:
    """What partitions have to say beside it: what is lost, of all of them; then the commonest, one of each kind."""
    said = Counter(aside for found in findings for aside in asides(found, group))
    gone = lost(findings, group.now)
    kinds: dict[str, str] = {}
    for aside in [*([gone] if gone else []), *(aside for aside, _ in said.most_common())]:
        kinds.setdefault(aside.partition(":")[0], aside)
    return "; ".join([text, *[aside for aside in kinds.values() if not _said(aside, text)][:_ASIDES]])


def _said(aside: str, text: str) -> bool:
    """Whether the text says so already: another case of its kind, or the same that a consumer waits for."""
    kind, _, rest = aside.partition(": ")
    return any(words and words in text for words in (kind, rest, rest.partition(": ")[2]))


def _where(findings: Sequence[Finding]) -> str:
    status = findings[0].status
    bad = [found for found in findings if found.status == status and (status != "OK" or found.evidence.late)]
    if len(findings) == 1 or len(bad) == 1:
        return f" in {bad[0].name}"
    if len(bad) == len(findings):
        return f" in all {len(bad)} partitions"
    return f" in {bad[0].name} and {count(len(bad) - 1, 'other')}"


def _reason(findings: Sequence[Finding], group: Group) -> str:
    first = findings[0]
    if first.status == "WARN" and (found := hot(findings)) is not None:
        most, behind, share = found
        # It may have moved just now, and is the reason all the same that others behind it are late.
        late = most if most.status == first.status else first
        return (
            f"hot partition: {most.name} holds {behind:.0%} of the lag and gets {share:.0%} of what is published; "
            f"{cause(late, group)}"
        )
    return cause(first, group)


def _end(first: Finding, eta: Eta | None) -> str:
    if first.status in ("STALL", "STOP"):
        return "; no end while that lasts"
    if eta is None and first.status == "OK":
        return ""
    if eta is None:
        return "; at these rates it does not catch up"
    if eta.high is None:
        return f"; done in about {span(eta.s)}, or never"
    return f"; done in about {span(eta.s)} ({span(eta.low)} to {span(eta.high)})"
