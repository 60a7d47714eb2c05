"""From one sample after the other to a report: keeps the windows and flows, and judges. Asks nobody."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from broker.samples import JOINING, GroupSample, Place
from monitor.eta import Eta, eta, eta_from_rates
from monitor.evaluate import Evidence, evaluate
from monitor.finding import Finding, Group
from monitor.partition import Partition, due
from monitor.rates import SHORT_S, Flow, Rates, keeps_up
from monitor.verdict import status_of, verdict, worst
from monitor.why import why
from schemas.lag import LagReport, PartitionLag, Status

_LOOP_S: Final = 60.0
"""For how long it counts what a member told of rebalances."""


class Observer:
    """The memory behind the reports of one group. `silence_s`: session timeout and heartbeat interval."""

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._flow = Flow()
        self._partitions: dict[Place, Partition] = {}
        self._status: Status | None = None
        self._since: float | None = None
        self._sample: GroupSample | None = None

    def take(self, sample: GroupSample) -> list[tuple[Place, int]]:
        """The next sample. Returns the records whose timestamps `report` would like to know: worst lag first."""
        first = not self._partitions
        consumed = produced = 0
        kept = {}
        for found in sample.partitions:
            known = kept[found.place] = self._partitions.get(found.place) or Partition(self._silence_s)
            went, came = known.add(found, sample.at, first=first)
            consumed, produced = consumed + went, produced + came
        self._partitions, self._sample = kept, sample
        behind = sum(found.lag for found in sample.partitions)
        self._flow.add(sample.at, consumed=consumed, produced=produced, lag=behind)
        ageless = (found for found in sample.partitions if kept[found.place].ageless(sample.at))
        wanted = [(found.lag, found.place, due(found)) for found in ageless]
        return [(place, offset) for _, place, offset in sorted(wanted, reverse=True)]

    def report(self, timestamps: Mapping[Place, float]) -> LagReport:
        """Judge the last sample. `timestamps`: of the records that `take` asked for, as far as they could be read."""
        sample = self._sample
        assert sample is not None
        for place, timestamp in timestamps.items():
            self._partitions[place].learn(timestamp)
        members = None if sample.members is None else len(sample.members)
        group = Group(sample.at, sample.state, members, self._rates(sample), self._joins(sample.at))
        findings = worst([self._find(known, group) for known in self._partitions.values()])
        status = status_of(findings)
        if status != self._status:
            known_since = [found.since for found in findings if found.status == status and found.since is not None]
            self._since = min(known_since, default=None) if self._status is None else sample.at
            self._status = status
        left = self._eta(group, findings)
        ages = [found.evidence.time_lag_s for found in findings]
        return LagReport(
            group_id=sample.group_id,
            cluster_id=sample.cluster_id,
            at=_moment(sample.at),
            status=status,
            reason=verdict(findings, group, left),
            since=_moment(self._since),
            state=sample.state,
            members=members,
            lag=sum(found.evidence.lag for found in findings),
            time_lag_s=max((age for age in ages if age is not None), default=None if ages else 0.0),
            eta_s=_rounded(left.s if left else None),
            eta_low_s=_rounded(left.low if left else None),
            eta_high_s=_rounded(left.high if left else None),
            consumed_per_s=_rounded(group.rates.consumed if group.rates else None),
            produced_per_s=_rounded(group.rates.produced if group.rates else None),
            partitions=[self._told(found, group) for found in findings],
        )

    def _find(self, known: Partition, group: Group) -> Finding:
        sample, window = known.sample, known.window
        assert sample is not None
        joining = group.members is None or group.state in JOINING
        rates = known.flow.known()
        evidence = Evidence(
            now=group.now,
            silence_s=self._silence_s,
            lag=sample.lag,
            commits=window.commits,
            told=window.told,
            alive=None if joining else sample.owner is not None,
            empty=group.members == 0,
            last_commit=window.last_commit,
            moved=window.moved,
            behind_since=window.behind_since,
            taken=known.taken,
            time_lag_s=known.age(group.now)[0],
            keeps_up=keeps_up(rates or group.rates, self._flow.watched_s),
        )
        status = evaluate(evidence)
        if status != known.status:
            first, known.status = known.status is None, status
            known.since = _first_since(evidence, status) if first else group.now
        arrived = known.flow.points[-1].produced - known.flow.points[0].produced
        return Finding(sample, evidence, status, known.since, rates, arrived, window.trimmed, window.held)

    def _rates(self, sample: GroupSample) -> Rates | None:
        """What was seen to grow; as long as that was only for a moment, the consumers' own rates."""
        if (rates := self._flow.known()) is not None:
            return rates
        if (seen := self._flow.lately()) is None:
            return None
        told_by: dict[str, float] = {}
        for known in self._partitions.values():
            told, owner = known.window.told, known.sample and known.sample.owner
            if told is not None and told.rate is not None and owner and known.fresh(sample.at):
                told_by[owner] = told.rate
        return Rates(sum(told_by.values()), seen.produced) if told_by else seen

    def _joins(self, now: float) -> int:
        """What the member tells that saw most of them: who has just come has seen none."""
        windows = (known.window for known in self._partitions.values())
        return max((w.told.joins or 0 for w in windows if w.told is not None and now - w.told.at <= _LOOP_S), default=0)

    def _eta(self, group: Group, findings: list[Finding]) -> Eta | None:
        lag = sum(found.evidence.lag for found in findings)
        if not any(found.evidence.late for found in findings):
            return Eta(0.0, 0.0, 0.0)  # what is in flight is not behind
        if self._flow.watched_s >= SHORT_S:
            return eta(self._flow.points)
        return eta_from_rates(lag, group.rates) if group.rates is not None else None

    def _told(self, found: Finding, group: Group) -> PartitionLag:
        sample, evidence, rates = found.sample, found.evidence, found.rates
        known = self._partitions[sample.place]
        last = evidence.last_commit
        left = eta_from_rates(evidence.lag, rates) if rates is not None else None
        return PartitionLag(
            topic=sample.place.topic,
            partition=sample.place.partition,
            status=found.status,
            reason=why(found, group),
            since=_moment(found.since),
            lag=evidence.lag,
            time_lag_s=_rounded(evidence.time_lag_s),
            time_lag_from=known.age(group.now)[1],
            committed_offset=sample.committed,
            beginning_offset=sample.beginning,
            end_offset=sample.end,
            owner=sample.owner,
            state=evidence.told.state if evidence.told is not None else None,
            last_commit_age_s=_rounded(group.now - last if last is not None else None),
            consumed_per_s=_rounded(rates.consumed if rates else None),
            produced_per_s=_rounded(rates.produced if rates else None),
            eta_s=_rounded(left.s if left else None) if evidence.late else 0.0,
        )


def _first_since(evidence: Evidence, status: Status) -> float | None:
    """Since when, of a status that was there when we began to look."""
    if status == "STALL" and evidence.told is not None:
        return evidence.told.since
    return evidence.last_commit if status == "STOP" else None


def _moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
