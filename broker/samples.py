"""What Kafka knows of a consumer group at one moment, as plain values."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

JOINING: Final = ("PreparingRebalance", "CompletingRebalance")
"""States in which nobody has partitions, and nothing follows from that."""


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the group; `name` tells it from the others, `host` is where it connects from."""

    name: str
    host: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class PartitionSample:
    """One partition: the log, and what the group has committed there."""

    place: Place
    beginning: int
    end: int
    """Of what is committed: no reader of committed records gets further."""
    committed: int | None
    """None: the group has never committed here."""
    metadata: str
    owner: str | None
    """Name and host of the member that has it."""
    lag: int = field(init=False)
    """Records behind the committed offset; of a partition without one, all that the log has."""

    def __post_init__(self) -> None:
        first = self.beginning if self.committed is None else self.committed
        object.__setattr__(self, "lag", max(0, self.end - first))


@dataclass(frozen=True, slots=True)
class GroupSample:
    """One look at a group. `at`: seconds since 1970."""

    group_id: str
    cluster_id: str
    at: float
    state: str | None
    """Stable, Empty, PreparingRebalance, CompletingRebalance; None: the newer protocol does not tell us."""
    members: tuple[Member, ...] | None
    partitions: tuple[PartitionSample, ...]
