"""HTTP bodies: what callers may send as JSON, and the answers that are not a Prediction, a Score or a Problem."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from schemas.fields import MAX_NAME_BYTES, MAX_URI_BYTES
from schemas.predictions import Prediction
from schemas.problems import Problem

MAX_BATCH_IMAGES = 64
Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_BYTES)]


class ImageInput(BaseModel):
    """One image as JSON: its bytes, or where to fetch them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    image_base64: str | None = Field(
        default=None, description="the encoded image in standard base64", examples=["iVBORw0KGgo..."]
    )
    image_uri: Annotated[str, StringConstraints(min_length=1, max_length=MAX_URI_BYTES)] | None = Field(
        default=None,
        description="file:, http(s): or s3:, inside what the service allows",
        examples=["s3://photos/cat.jpg"],
    )
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{64}$", to_lower=True)] | None = Field(
        default=None, description="digest that the encoded image must have"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> "ImageInput":
        if (self.image_base64 is None) == (self.image_uri is None):
            given = "neither of them is" if self.image_uri is None else "both are"
            raise ValueError(f"give image_base64 or image_uri: {given} there")
        return self


class EventInput(ImageInput):
    """One event as JSON; what is left out of its identity is made up."""

    id: Name | None = Field(default=None, description="unique within the source (default: a new UUID)")
    source: Name | None = Field(default=None, description="who names the events (default: /events)")


class BatchInput(BaseModel):
    """Several images as JSON; each is looked at by itself, so that a wrong one fails alone."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    images: list[Any] = Field(
        min_length=1,
        max_length=MAX_BATCH_IMAGES,
        description="objects like the JSON body of /predict, or base64 strings",
        examples=[[{"image_base64": "iVBORw0KGgo..."}, {"image_uri": "s3://photos/cat.jpg"}]],
    )


class PredictionResult(BaseModel):
    """The answer for one image of a batch."""

    prediction: Prediction


class ProblemResult(BaseModel):
    """Why one image of a batch has no answer."""

    problem: Problem


class BatchResults(BaseModel):
    """One result an image, in the order of the request."""

    results: list[PredictionResult | ProblemResult]


class Accepted(BaseModel):
    """Kafka has the event: its identity and where it stands."""

    source: str
    id: str
    topic: str
    partition: int
    offset: int


class CheckResult(BaseModel):
    """Whether one dependency works."""

    ok: bool
    state: Literal["paused"] | None = Field(default=None, description="paused: it would work, and is told not to")
    reason: str | None = Field(default=None, description="why it does not work, or who paused it")


class Readiness(BaseModel):
    """Whether the service can do its work, by dependency."""

    status: str = Field(examples=["ready"])
    checks: dict[str, CheckResult]


class Health(Readiness):
    """Readiness, and what runs here."""

    model_config = ConfigDict(protected_namespaces=())

    version: str
    model_version: str | None = None
    engine: str | None = None
    precision: str | None = None
    device: str | None = None
    untrained: bool | None = Field(default=None, description="true: the weights are a demo's, labels mean nothing")


class ProblemPage(BaseModel):
    """What a problem type means."""

    type: str
    title: str
    status: int
    meaning: str
