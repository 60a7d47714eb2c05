"""The lag report: is the group behind, where, why, since when, and when will it be done."""

from datetime import datetime
from typing import Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["OK", "WARN", "STALL", "STOP", "REWIND"]
SEVERITIES: Final[tuple[Status, ...]] = get_args(Status)
"""From fine to worst: a group is as bad as its worst partition. Where we cannot know there is no report at all."""


class PartitionLag(BaseModel):
    """One partition of the group."""

    model_config = ConfigDict(frozen=True)

    topic: str
    partition: int
    status: Status
    reason: str = Field(description="one sentence: why it is so")
    since: datetime | None = Field(description="since when it has this status, as far as was seen")
    lag: int = Field(description="records between the committed offset and the end")
    time_lag_s: float | None = Field(description="age of the oldest unscored record; null where nobody knows")
    time_lag_from: Literal["consumer", "record"] | None = Field(
        description="who says so: the consumer beside its offset, or the record at the committed offset"
    )
    committed_offset: int | None = Field(description="null: the group has never committed here")
    beginning_offset: int
    end_offset: int = Field(description="as far as a consumer of committed records can read")
    owner: str | None = Field(description="the member that has the partition; null: nobody, or Kafka does not tell")
    state: str | None = Field(description="what the consumer said last: running, idle, waiting, held; null: not ours")
    last_commit_age_s: float | None = Field(description="null where no commit was seen")
    consumed_per_s: float | None = Field(description="committed records a second of late")
    produced_per_s: float | None = Field(description="published records a second of late")
    eta_s: float | None = Field(description="until it has caught up; null: it does not, at these rates")


class LagReport(BaseModel):
    """The group at one moment."""

    model_config = ConfigDict(frozen=True)

    group_id: str
    cluster_id: str
    at: datetime
    status: Status
    reason: str = Field(description="one sentence: behind or not, where, why, since when, when done")
    since: datetime | None
    state: str | None = Field(description="Kafka's word for the group: Stable, Empty, PreparingRebalance, ...")
    members: int | None = Field(description="null where Kafka does not tell")
    lag: int
    time_lag_s: float | None
    eta_s: float | None = Field(description="until the group has caught up; null: it does not, at these rates")
    eta_low_s: float | None
    eta_high_s: float | None = Field(description="null beside an eta_s: it may also take for ever")
    consumed_per_s: float | None
    produced_per_s: float | None
    partitions: list[PartitionLag] = Field(description="worst first")
