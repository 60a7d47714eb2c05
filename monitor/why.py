"""Why a partition is as it is, in one sentence: from what the consumers tell, then from what Kafka knows."""

from collections.abc import Sequence
from typing import Final

from broker.samples import JOINING
from monitor.finding import Finding, Group
from monitor.told import Told
from monitor.words import clock, count, rate, span

_LOOP_JOINS: Final = 5
"""Rebalances in five minutes from which on they are themselves the trouble."""
_POISON: Final = 0.2
"""Share of dead letters from which on it is worth a word."""
_TOLD_S: Final = 600.0
"""For how long deleted records are spoken of."""
_JUST_NOW_S: Final = 30.0
_SLOW: Final = {
    "engine": "the engine is slow",
    "store": "the store is slow",
    "source": "the image sources are slow",
    "kafka": "fetching from Kafka is slow",
}
_SLOWER: Final = "consumers are slower than producers"


def why(finding: Finding, group: Group) -> str:
    """One sentence without a full stop."""
    main = cause(finding, group)
    return "; ".join([main, *(aside for aside in asides(finding, group) if aside != main)])


def cause(finding: Finding, group: Group) -> str:
    """The reason of its status alone."""
    return {"STOP": _stopped, "REWIND": _went_back, "STALL": _stands}.get(finding.status, _runs)(finding, group)


def _stopped(finding: Finding, group: Group) -> str:
    told, at = finding.evidence.told, finding.evidence.last_commit
    since = f" since {clock(at, group.now)}" if at is not None else ""
    if told is not None and told.part == "dead_letters":
        return f"the limit on dead letters has stopped the group{since}: `streamscorer dlq resume` lets it go on"
    if told is not None and told.state == "moved":
        return f"no consumer is running since an operator moved the offset ({_detail(told)})"
    if told is not None and told.state == "waiting" and not told.open:
        return f"the consumer has ended{since}: {_detail(told)}"
    if group.members and (looping := loop(group)) is not None:
        return looping
    if group.members:
        return f"the member that had it is gone{since}, and no other has taken it"
    ended = "" if told is None else ", the last one was stopped" if not told.open else ", the last one left no farewell"
    return f"no consumer is running{since}{ended}"


def _went_back(finding: Finding, group: Group) -> str:
    told, commits = finding.evidence.told, finding.evidence.commits
    highest = max(commits, key=lambda commit: commit.offset)
    back = f"the committed offset went back from {highest.offset} to {commits[-1].offset}"
    by = f" ({_detail(told)})" if told is not None and told.state == "moved" else ""
    return f"{back} after {clock(highest.at, group.now)}{by}"


def _stands(finding: Finding, group: Group) -> str:
    evidence = finding.evidence
    told = evidence.told
    began = evidence.behind_since if told is None or told.since is None else told.since
    since = f" since {clock(began, group.now)}" if began is not None else ""
    if (told is None or not told.stuck) and (looping := loop(group)) is not None:
        return looping
    if told is None or not told.stuck:
        at = finding.sample.committed
        where = "it has never committed" if at is None else f"it stands at {at}"
        return f"its owner is alive and does not move: {where}{since}"
    match told.part:
        case "store":
            return f"the store is unreachable{since}: {_detail(told)}"
        case "broker":
            return f"the consumer gets no answer from Kafka{since}: {_detail(told)}"
        case "operator":
            return _detail(told) if told.why and " since " in told.why else f"{_detail(told)}{since}"
        case "dead_letters":
            return f"the limit on dead letters holds{since}: `streamscorer dlq resume` lets it go on"
        case _:
            return f"{told.why or told.state}{since}"


def _runs(finding: Finding, group: Group) -> str:
    evidence = finding.evidence
    if evidence.lag <= 0:
        return "nothing waits"
    if finding.status == "OK" and not evidence.late:
        return "keeps up"
    taken_s = None if evidence.taken is None else evidence.now - evidence.taken
    if taken_s is not None and taken_s <= 12 * evidence.silence_s and finding.status == "OK":
        return f"a consumer took it {span(taken_s)} ago and is catching up"
    if taken_s is not None and taken_s <= evidence.silence_s:
        return f"a consumer took it {span(taken_s)} ago and has not committed anything new yet"
    if finding.status == "OK":
        return "catching up"
    if group.state in JOINING:
        return "the group is rebalancing: nobody consumes meanwhile"
    return loop(group) or poison(evidence.told) or _waited(finding, group) or slow(evidence.told, finding, group)


def _waited(finding: Finding, group: Group) -> str | None:
    """A slow source holds a partition again and again; in between it is behind for that reason too."""
    held = finding.held
    return f"until just now {held.why}" if held is not None and group.now - held.at <= _JUST_NOW_S else None


def loop(group: Group) -> str | None:
    """Members come and go again and again."""
    if group.joins < _LOOP_JOINS:
        return None
    return f"rebalance loop: {count(group.joins, 'rebalance')} within five minutes"


def poison(told: Told | None) -> str | None:
    """Many records cannot be scored."""
    if told is None or told.dead is None or told.dead < _POISON:
        return None
    reason = f", most of them {told.top_reason}" if told.top_reason else ""
    return f"poison run: {told.dead:.0%} of the records of the last minute became dead letters{reason}"


def slow(told: Told | None, finding: Finding, group: Group) -> str:
    """Fewer are consumed than arrive: the group's rates, or the partition's where only it falls behind."""
    subject = _SLOW.get(told.bound or "", _SLOWER) if told is not None else _SLOWER
    rates = group.rates
    if rates is None or rates.consumed >= rates.produced:
        rates = finding.rates or rates
    if rates is None:
        return subject
    if rates.consumed >= rates.produced and finding.evidence.keeps_up is None:
        return f"{subject}: {rate(rates.consumed)} are consumed; what arrives was watched for a moment only"
    if rates.consumed >= rates.produced:
        return f"the backlog stays: {rate(rates.consumed)} are consumed, {rate(rates.produced)} arrive"
    return f"{subject}: {rate(rates.consumed)} are consumed while {rate(rates.produced)} arrive"


def lost(findings: Sequence[Finding], now: float) -> str | None:
    """How many records of these partitions Kafka deleted before they were scored."""
    seen = [found.trimmed for found in findings if found.trimmed is not None and now - found.trimmed.at <= _TOLD_S]
    if not seen:
        return None
    most = "" if all(one.exact for one in seen) else "up to "
    gone = f"{most}{count(sum(one.lost for one in seen), 'record')} gone before they were scored"
    return f"topic trimmed: {gone} (seen {clock(max(one.at for one in seen), now)})"


def asides(finding: Finding, group: Group) -> list[str]:
    """What must not stay unsaid, whatever the status."""
    told, said = finding.evidence.told, []
    if finding.trimmed is not None and (gone := lost([finding], group.now)) is not None:
        said.append(gone)
    if finding.status in ("OK", "WARN"):
        said += [more for more in (loop(group), poison(told)) if more is not None]
        if told is not None and told.stuck and finding.evidence.fresh:
            said.append(f"the consumer waits: {told.why}")
        elif finding.evidence.lag > 0 and (waited := _waited(finding, group)) is not None:
            said.append(waited)
        if finding.evidence.lag <= 0 and group.members == 0:
            said.append("no consumer is running")
    return said


def _detail(told: Told) -> str:
    return told.why.partition(": ")[2] or told.why if told.why else told.state
