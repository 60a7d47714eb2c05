"""One bad image must not take its batch mates along: run a batch, halve it when it fails, judge what is left."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from errors import EngineRejected
from inference.engine import Engine, never
from inference.preprocess import stack
from telemetry import Metrics, logger, with_trace

log = logger("inference")
_NONE = torch.empty(0, 0)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of a batch."""

    rows: Tensor
    """Probabilities, float32 [N, C], of the N images that have some, in order."""
    failures: Mapping[int, Exception]
    """Why the others have none, by their place: EngineRejected; or, where the engine fails on everything, its own
    exception: a bug."""


class NotFinite(ArithmeticError):
    """The engine answered NaN or infinity."""


class Isolation:
    """Runs the engine on behalf of the batcher, on the device thread."""

    def __init__(self, engine: Engine, probe: Tensor, metrics: Metrics) -> None:
        self.engine = engine
        self._probe = probe
        self._metrics = metrics
        self.trouble: str | None = None
        """Set while the engine fails on the probe as well, that is, on everything."""
        self.fits = engine.most
        """Images that the engine takes at once, and that fit into the device's memory as far as is known."""

    def check_probe(self) -> None:
        """Run the probe alone. Raises what the engine raises, or NotFinite."""
        self._one(self._probe)

    def outcomes(
        self, images: Sequence[Tensor], trace_id: str | None = None, pause: Callable[[], None] = never
    ) -> Outcomes:
        """Run images [3, H, W] together, and apart where that fails. `trace_id`: of a trace that one of them is in.

        `pause` is called in the midst of a pass where the engine can be paused.
        """
        try:
            rows = self._forward(images, trace_id, pause)
        except Exception as failure:  # noqa: BLE001  (engines fail in many ways; the probe decides whose fault it is)
            if isinstance(failure, torch.OutOfMemoryError | MemoryError) and len(images) > 1:
                self.fits = min(self.fits, len(images) // 2)
                log.warning("a batch did not fit into memory", images=len(images), next_at_most=self.fits)
            if len(images) == 1:
                return self._judge(images[0], failure)
            half = len(images) // 2
            return _joined([self.outcomes(part, trace_id, pause) for part in (images[:half], images[half:])])
        if rows.sum().isfinite():  # probabilities: the sum is as finite as each of them
            self.trouble = None
            return Outcomes(rows, {})
        if len(images) == 1:
            return self._judge(images[0], NotFinite("the probabilities are not finite"))
        return _joined(
            [
                Outcomes(row.unsqueeze(0), {}) if row.isfinite().all() else self.outcomes([image], trace_id, pause)
                for image, row in zip(images, rows, strict=True)
            ]
        )

    def _judge(self, image: Tensor, failure: Exception) -> Outcomes:
        """The engine failed on one image alone. Is it the engine, the image, or was it a passing thing?"""
        try:
            self.check_probe()
        except Exception as general:
            if self.trouble is None:
                log.error("the engine fails on every image", error=_line(general), exc_info=general)
            self.trouble = f"the engine fails on every image: {_line(general)}"
            return Outcomes(_NONE, {0: failure})
        try:
            row = self._one(image)
        except Exception as again:  # noqa: BLE001  (likewise)
            rejected = EngineRejected(f"the {self.engine.name} engine fails on this image alone: {_line(again)}")
            rejected.__cause__ = again
            return Outcomes(_NONE, {0: rejected})
        self.trouble = None
        return Outcomes(row.unsqueeze(0), {})

    def _one(self, image: Tensor) -> Tensor:
        row = self._forward([image])[0]
        if not row.isfinite().all():
            raise NotFinite("the probabilities are not finite")
        return row

    def _forward(
        self, images: Sequence[Tensor], trace_id: str | None = None, pause: Callable[[], None] = never
    ) -> Tensor:
        begun, paused_s = time.perf_counter(), 0.0

        def stand_still() -> None:
            nonlocal paused_s
            since = time.perf_counter()
            pause()
            paused_s += time.perf_counter() - since

        try:
            rows = self.engine.predict(stack(images), stand_still)
        finally:
            self._metrics.inference_seconds.observe(time.perf_counter() - begun - paused_s, with_trace(trace_id))
        self._metrics.batch_size.observe(len(images))
        if rows.ndim != 2 or len(rows) != len(images):
            raise RuntimeError(f"the engine answered {tuple(rows.shape)} for {len(images)} images")
        return rows


def _joined(parts: Sequence[Outcomes]) -> Outcomes:
    failures: dict[int, Exception] = {}
    place = 0
    for part in parts:
        failures |= {place + number: failure for number, failure in part.failures.items()}
        place += len(part.rows) + len(part.failures)
    rows = [part.rows for part in parts if len(part.rows)]
    return Outcomes(torch.cat(rows) if rows else _NONE, failures)


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
