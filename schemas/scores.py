"""The stored row: `Score`, how it is asked for, and the page it comes in."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.predictions import ModelAnswer


class KafkaPosition(BaseModel):
    """The record that a score was made from."""

    model_config = ConfigDict(frozen=True)

    topic: str
    partition: int
    offset: int


class Score(ModelAnswer):
    """One event's stored answer."""

    source: str
    event_id: str
    event_time: datetime = Field(description="the producer's time, or the record's timestamp")
    scored_at: datetime = Field(description="time of the transaction that wrote the row")
    kafka: KafkaPosition
    traceparent: str | None = None


class ScoreFilter(BaseModel):
    """Which scores: all conditions hold at once; `since` <= scored_at < `until`."""

    model_config = ConfigDict(frozen=True, protected_namespaces=(), extra="forbid")

    source: str | None = None
    event_id: str | None = None
    label: str | None = None
    predicted_class: Annotated[int, Field(ge=0)] | None = None
    min_probability: Annotated[float, Field(ge=0, le=1)] | None = None
    max_probability: Annotated[float, Field(ge=0, le=1)] | None = None
    model_version: str | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


Order = Literal["newest", "oldest"]


class ScorePage(BaseModel):
    """A page of scores; `next_cursor` is null on the last one."""

    items: list[Score]
    next_cursor: str | None = None
