"""An image on its way through the core, the callers that wait for it, and what they are told."""

import asyncio
import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from errors import Invalid
from schemas.predictions import ClassProbability, ImageInfo, Prediction

Priority = Literal["interactive", "stream"]
PRIORITIES: tuple[Priority, ...] = ("interactive", "stream")


@dataclass(slots=True, eq=False)
class Call:
    """One call of a door. `over` is done when all its images have an outcome, or it failed, or its caller left."""

    over: asyncio.Future[None]
    outcomes: list[Prediction | Invalid | None]
    left: int
    top_k: int
    trace_id: str | None = None
    """Of the trace that somebody keeps, where there is one."""


@dataclass(slots=True, eq=False)
class Waiter:
    """One image of a call, by its place in it, and when it came (time.perf_counter)."""

    call: Call
    place: int
    since: float


@dataclass(slots=True, eq=False)
class Work:
    """An encoded image, all who wait for it (whoever sends the same bytes meanwhile joins them), and how far it is."""

    image: bytes
    priority: Priority
    waiters: list[Waiter]
    digest: str | None = None
    """SHA-256 of the encoded bytes, lower hex: from the caller, else from the decode thread."""
    pixels: Tensor | None = None
    facts: ImageInfo | None = None
    decode_s: float = 0.0
    decoded_at: float = 0.0
    begun_at: float = 0.0
    """When its forward pass began, had it never stood still."""
    infer_s: float = 0.0

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for it."""
        return any(not waiter.call.over.done() for waiter in self.waiters)


@dataclass(slots=True, eq=False)
class Answer:
    """What the model says of one image."""

    facts: ImageInfo
    row: bytes
    """All probabilities, float32 [C]."""
    classes: list[int]
    """The best ones, best first."""
    values: list[float]
    """Their probabilities."""
    listed: tuple[ClassProbability, ...] = ()
    """Both as the list that most callers want, once somebody asked for it."""

    @property
    def probabilities(self) -> Tensor:
        """float32 [C]"""
        return torch.from_numpy(np.frombuffer(self.row, np.float32).copy())

    def top(self, top_k: int, labels: tuple[str, ...]) -> tuple[ClassProbability, ...]:
        """The `top_k` best classes, at most all."""
        if len(self.listed) == top_k:
            return self.listed
        classes, values = self.classes[:top_k], self.values[:top_k]
        if top_k > len(classes) and len(classes) < len(labels):
            found = self.probabilities.topk(min(top_k, len(labels)))
            classes, values = found.indices.tolist(), found.values.tolist()
        top = tuple(
            [
                ClassProbability(class_id, labels[class_id], value)
                for class_id, value in zip(classes, values, strict=True)
            ]
        )
        if len(top) == len(self.classes):
            self.listed = top
        return top


@dataclass(slots=True)
class Pass:
    """A batch in the engine's hands."""

    works: list[Work]
    priority: Priority
    begun: float
    """time.perf_counter()"""
    paused_s: float = 0.0
    """How long it stood still for others."""

    @property
    def worked_s(self) -> float:
        """How long it was computed."""
        return time.perf_counter() - self.begun - self.paused_s

    @property
    def yields(self) -> bool:
        """Whether interactive images go first: not once somebody interactive waits for one of these."""
        return all(work.priority == "stream" for work in self.works)


Settled = tuple[Work, Answer | Exception]
