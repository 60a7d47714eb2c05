"""What was found out about one partition, before it is put into words."""

from dataclasses import dataclass

from broker.samples import PartitionSample
from monitor.evaluate import Evidence
from monitor.rates import Rates
from monitor.told import Told
from monitor.window import Trimmed
from schemas.lag import Status


@dataclass(frozen=True, slots=True)
class Finding:
    """A judged partition."""

    sample: PartitionSample
    evidence: Evidence
    status: Status
    since: float | None
    rates: Rates | None
    """None as long as it was watched only for a moment."""
    arrived: int
    """Records that were published to it while it was watched, a minute at most."""
    trimmed: Trimmed | None
    """When records were last seen to be deleted before they were consumed."""
    held: Told | None
    """What the consumer said when it last waited with this partition alone."""

    @property
    def name(self) -> str:
        return f"{self.sample.place.topic}/{self.sample.place.partition}"


@dataclass(frozen=True, slots=True)
class Group:
    """What holds for all of its partitions."""

    now: float
    state: str | None
    members: int | None
    rates: Rates | None
    """None: nobody knows yet."""
    joins: int
    """Most rebalances that a member saw in five minutes."""
