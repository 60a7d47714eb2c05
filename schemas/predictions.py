"""What the model answers: `Prediction`, and the facts about model and image that travel with it.

A prediction is made for every record, so its many small parts are plain dataclasses: they cost half of what models do.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True, slots=True)
class ClassProbability:
    """One of the top classes."""

    class_id: Annotated[int, Field(ge=0, examples=[281])]
    label: Annotated[str, Field(examples=["tabby"])]
    probability: Annotated[float, Field(ge=0, le=1, examples=[0.83])]


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Facts about the encoded image, from its header and bytes."""

    sha256: Annotated[str, Field(description="lower-case hex digest of the encoded bytes")]
    format: Annotated[str, Field(description="jpeg, png, webp, gif or bmp", examples=["jpeg"])]
    width: Annotated[int, Field(description="pixels, after EXIF orientation")]
    height: Annotated[int, Field(description="pixels, after EXIF orientation")]
    bytes: Annotated[int, Field(description="size of the encoded image")]


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the milliseconds of one prediction went."""

    decode: float
    """Of this image; 0 where the same bytes were known or under way."""
    queue: float
    """All waiting: for a decode thread, for the device, and for another who asked for the same bytes."""
    infer: float
    """Of the forward pass, shared with others; 0 from the cache."""
    total: float


class ModelAnswer(BaseModel):
    """What `Prediction` and `Score` share: the model's answer and which model gave it."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    predicted_class: int = Field(description="index of the most probable class")
    label: str
    probability: float = Field(ge=0, le=1, description="of the most probable class")
    top: tuple[ClassProbability, ...] = Field(description="most probable classes, best first")
    model_version: str = Field(examples=["resnet50-0a1b2c3d4e5f"])
    engine: str = Field(examples=["torch"])
    precision: str = Field(examples=["fp32"])
    image: ImageInfo


class Prediction(ModelAnswer):
    """The model's answer for one image."""

    cached: bool = Field(default=False, description="answered from the result cache")
    timings_ms: Timings


class ModelInfo(BaseModel):
    """What a model version is; kept in the table `models` and exported as `scorer_model_info`."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model_version: str
    name: str
    weights: str = Field(description="IMAGENET1K_V2, IMAGENET1K_V1, a file's name, or untrained")
    weights_sha256: str
    preprocessing: str = Field(description="resize=232,crop=224,mean=...,std=...")
    labels: tuple[str, ...]
    engine: str
    precision: str
    device: str
    untrained: bool = False
