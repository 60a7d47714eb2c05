"""Hand-made histories of a group: samples as Kafka would give them, every five seconds unless said otherwise."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from broker.samples import GroupSample, Member, PartitionSample, Place
from monitor.observer import Observer
from schemas.lag import LagReport

NOW = 1_800_000_000.0
EVERY_S = 5.0
SILENCE_S = 12.5
TOPIC = "image-events"
OWNER = "streamscorer-1a2b3c4d@10.0.0.1"


def said(at: float, state: str = "running", **more: Any) -> str:
    """A consumer's metadata. Times as seconds since 1970; `since` and `oldest` too."""
    since, oldest = more.pop("since", None), more.pop("oldest", None)
    told = {"at": iso(at), "state": state, "why": None, "rate": 100.0, "open": True, "ends": 0, "tried": False, **more}
    told["since"] = None if since is None else iso(since)
    told["oldest_ts"] = None if oldest is None else int(oldest * 1000)
    return json.dumps(told)


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def partition(
    committed: int | None,
    end: int,
    metadata: str = "",
    *,
    number: int = 0,
    beginning: int = 0,
    owner: str | None = OWNER,
) -> PartitionSample:
    return PartitionSample(Place(TOPIC, number), beginning, end, committed, metadata, owner)


def group(at: float, *partitions: PartitionSample, state: str | None = "Stable") -> GroupSample:
    """A look at the group; its members are the partitions' owners."""
    owners = sorted({found.owner for found in partitions if found.owner})
    members: tuple[Member, ...] | None = tuple(
        Member(name.partition("@")[0], name.partition("@")[2], tuple(p.place for p in partitions if p.owner == name))
        for name in owners
    )
    if state == "Stable" and not owners:
        state = "Empty"
    if state is None:
        members = None
    return GroupSample("scorers", "cluster", at, state, members, partitions)


class History:
    """An observer that is fed a sample after the other."""

    def __init__(self) -> None:
        self.observer = Observer(SILENCE_S)
        self.now = NOW
        self.report: LagReport | None = None

    def look(self, *partitions: PartitionSample, after_s: float = EVERY_S, state: str | None = "Stable") -> LagReport:
        """The next sample, and the report on it. Timestamps that are asked for: a minute ago."""
        self.now += after_s
        asked = self.observer.take(group(self.now, *partitions, state=state))
        self.report = self.observer.report({place: self.now - 60 for place, _ in asked})
        return self.report

    def healthy(self, samples: int = 12, *, committed: int = 0, per_s: int = 100) -> int:
        """A consumer that keeps up; where it stands at the end."""
        for _ in range(samples):
            committed += int(per_s * EVERY_S)
            at = self.now + EVERY_S
            self.look(partition(committed, committed, said(at - 1, "idle")))
        return committed


def without_owner(sample: PartitionSample) -> PartitionSample:
    return replace(sample, owner=None)
