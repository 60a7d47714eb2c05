"""One bad image must not take its batch mates along: run a batch, halve it when it fails, judge what is left."""

from collections.abc import Sequence

import torch
from torch import Tensor

from errors import EngineRejected
from inference.engine import Engine
from inference.preprocess import stack
from telemetry import Metrics, logger

log = logger("inference")
Outcome = Tensor | Exception
"""Probabilities, float32 [C]; or EngineRejected; or, where the engine fails on everything, its own exception: a bug."""


class NotFinite(ArithmeticError):
    """The engine answered NaN or infinity."""


class Isolation:
    """Runs the engine on behalf of the batcher, on the device thread."""

    def __init__(self, engine: Engine, probe: Tensor, metrics: Metrics) -> None:
        self._engine = engine
        self._probe = probe
        self._metrics = metrics
        self.trouble: str | None = None
        """Set while the engine fails on the probe as well, that is, on everything."""
        self.fits = 1 << 16
        """Images that fit into the device's memory as far as is known."""

    def check_probe(self) -> None:
        """Run the probe alone. Raises what the engine raises, or NotFinite."""
        self._one(self._probe)

    def answers(self, images: Sequence[Tensor]) -> list[Outcome]:
        """One outcome for each image [3, H, W], in order."""
        try:
            rows = self._forward(images)
        except Exception as failure:  # noqa: BLE001  (engines fail in many ways; the probe decides whose fault it is)
            if isinstance(failure, torch.OutOfMemoryError | MemoryError) and len(images) > 1:
                self.fits = len(images) // 2
                log.warning("a batch did not fit into memory", images=len(images), next_at_most=self.fits)
            if len(images) == 1:
                return [self._judge(image, failure) for image in images]
            half = len(images) // 2
            return self.answers(images[:half]) + self.answers(images[half:])
        outcomes: list[Outcome] = []
        for image, row in zip(images, rows, strict=True):
            if row.isfinite().all():
                self.trouble = None
                outcomes.append(row)
            elif len(images) == 1:
                outcomes.append(self._judge(image, NotFinite("the probabilities are not finite")))
            else:
                outcomes += self.answers([image])
        return outcomes

    def _judge(self, image: Tensor, failure: Exception) -> Outcome:
        """The engine failed on one image alone. Is it the engine, the image, or was it a passing thing?"""
        try:
            self.check_probe()
        except Exception as general:
            if self.trouble is None:
                log.error("the engine fails on every image", error=_line(general), exc_info=general)
            self.trouble = f"the engine fails on every image: {_line(general)}"
            return failure
        try:
            return self._one(image)
        except Exception as again:  # noqa: BLE001  (likewise)
            rejected = EngineRejected(f"the {self._engine.name} engine fails on this image alone: {_line(again)}")
            rejected.__cause__ = again
            return rejected

    def _one(self, image: Tensor) -> Tensor:
        row = self._forward([image])[0]
        if not row.isfinite().all():
            raise NotFinite("the probabilities are not finite")
        return row

    def _forward(self, images: Sequence[Tensor]) -> Tensor:
        with self._metrics.inference_seconds.time():
            rows = self._engine.predict(stack(images))
        self._metrics.batch_size.observe(len(images))
        if rows.ndim != 2 or len(rows) != len(images):
            raise RuntimeError(f"the engine answered {tuple(rows.shape)} for {len(images)} images")
        return rows


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
