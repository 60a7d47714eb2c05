"""What the judge says: findings by kind, each with its place in the input topic."""

from collections import Counter
from dataclasses import dataclass, field

from tests.faults.history import History, Place


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise, at (partition, offset) of the input topic."""

    place: Place
    words: str
    sample: int | None = None
    """Number of the sample that showed it, where one did."""

    def __str__(self) -> str:
        return f"{self.place[0]}/{self.place[1]}: {self.words}"


@dataclass(frozen=True)
class Verdict:
    """Everything that was found; `records` is how many were judged."""

    records: int
    lost: list[Finding] = field(default_factory=list)
    doubled: list[Finding] = field(default_factory=list)
    wrong: list[Finding] = field(default_factory=list)
    too_far: list[Finding] = field(default_factory=list)
    fates: Counter[str] = field(default_factory=Counter)
    """How many records ended as what."""

    @property
    def ok(self) -> bool:
        return not (self.lost or self.doubled or self.wrong or self.too_far)

    @property
    def summary(self) -> str:
        """One line."""
        counts = f"{len(self.lost)} lost, {len(self.doubled)} doubled, {len(self.wrong)} wrong"
        fates = ", ".join(f"{count} {fate}" for fate, count in sorted(self.fates.items()))
        return f"{self.records} records: {counts}, {len(self.too_far)} committed too far ({fates})"

    def findings(self) -> dict[str, list[Finding]]:
        """By kind."""
        return {"lost": self.lost, "doubled": self.doubled, "wrong": self.wrong, "too far": self.too_far}


def because_of(finding: Finding, history: History) -> float:
    """time.time() of what was found: of its sample, or of the first look that found its offset committed."""
    if finding.sample is not None and finding.sample < len(history.samples):
        return history.samples[finding.sample].at_s
    partition, offset = finding.place
    for sample in history.samples:
        if sample.committed.get(partition, 0) > offset:
            return sample.at_s
    return history.samples[-1].at_s if history.samples else 0.0
