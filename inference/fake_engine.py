"""An engine without a network, for tests and soaks: cheap, deterministic, and tells pictures apart by their colours."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from inference.engine import ANY_NUMBER, never

GRID = 4


class FakeEngine:
    """Probabilities from the mean colours of a 4 x 4 grid. Passes the same contract tests as the real engines."""

    name = "fake"
    precision = "fp32"
    device = "cpu"
    most = ANY_NUMBER

    def __init__(self, classes: int = 1000, before: Callable[[Tensor], None] | None = None, *, pauses: int = 0) -> None:
        """`before` sees each batch ahead of its answer; it may block, or raise as a failing engine would."""
        self.pauses = pauses
        generator = torch.Generator().manual_seed(7)
        self._directions = torch.randn(3 * GRID * GRID, classes, generator=generator)
        self._before = before

    def predict(self, batch: Tensor, pause: Callable[[], None] = never) -> Tensor:
        """See Engine.predict."""
        if self._before is not None:
            self._before(batch)
        for _ in range(self.pauses):
            pause()
        pixels = batch.to(torch.float32)
        colours = adaptive_avg_pool2d(pixels / 255 if batch.dtype == torch.uint8 else pixels, GRID).flatten(1)
        return ((colours - 0.5) @ self._directions).softmax(dim=1)
