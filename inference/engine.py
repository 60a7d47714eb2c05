"""What an engine is: the one thing that differs between torch, other runtimes and the fake of the tests."""

from collections.abc import Callable
from typing import Final, Protocol

from torch import Tensor

ANY_NUMBER: Final = 1 << 16
"""Of images in a batch."""


def never() -> None:
    """Whoever lets an engine compute undisturbed."""


class Engine(Protocol):
    """A model ready to run. Only one thread, always the same one, calls `predict`."""

    @property
    def name(self) -> str:
        """As in SCORER_ENGINE, the metrics and the scores: `torch`."""

    @property
    def precision(self) -> str:
        """Arithmetic of the forward pass: `fp32`, `bf16`, `fp16`."""

    @property
    def device(self) -> str:
        """Where it runs: `cpu`, `cuda:0`."""

    @property
    def most(self) -> int:
        """Images of a batch from which on more make none of them cheaper, and only take memory; else ANY_NUMBER."""

    @property
    def pauses(self) -> int:
        """How often a forward pass can be paused, at about even distances; 0 where it cannot."""

    def predict(self, batch: Tensor, pause: Callable[[], None] = never) -> Tensor:
        """One forward pass.

        Takes [N, 3, H, W], N >= 1, on the CPU: uint8 as `Preprocessing.pixels` gives it, or float32, then normalised.
        Returns probabilities, float32 [N, C] on the CPU: softmax in fp32, each row sums to 1. An image's row does not
        depend on the others in the batch. Raises whatever the runtime raises; torch.OutOfMemoryError and MemoryError
        mean that a smaller batch may fit.
        `pause` is called `pauses` times in the midst of the pass, and may call `predict` for another batch; what it
        raises ends this pass too.
        """
