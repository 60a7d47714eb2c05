"""The engine that runs the network with torch itself, on CPU or CUDA: the numeric reference of the others."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from errors import UsageError
from inference.cores import engine_threads
from inference.engine import ANY_NUMBER, never
from inference.folding import fold_batch_norms
from inference.model import Model
from inference.preprocess import Preprocessing
from inference.torch_threads import compute_with
from inference.vision import Bottleneck
from settings import InferenceSettings

_MOST_ON_CPU = 16
"""Measured: 46 ms an image in batches of 8, 44 in 16, 44 in 32, which take 400 MB more."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine:
    """A ResNet50 with its batch norms folded in, channels last (a third faster on CPUs with AVX-512), in its precision.

    On CUDA it was never measured, for want of a device: whether graphs, compiling or decoding there pay is not known.
    """

    name = "torch"

    def __init__(self, model: Model, settings: InferenceSettings) -> None:
        """Blocks while weights are moved; changes `model.network`.

        Raises UsageError for a device or precision that is not there.
        """
        self._device = torch_device(settings.device)
        self.device = str(self._device)
        # bf16 and fp16 are faster but move probabilities by up to a percent: only on demand.
        self.precision = "fp32" if settings.precision == "auto" else settings.precision
        if not is_native(self.precision, self._device):
            remedy = "SCORER_ENGINE=openvino has it" if self.precision == "int8" else "use auto or fp32"
            raise UsageError(
                f"SCORER_PRECISION={self.precision}: torch does not have it on this {self._device.type}; {remedy}"
            )
        self.most = ANY_NUMBER
        self.pauses = 0
        self._between = _BetweenBlocks()
        self._preprocessing: Preprocessing = model.preprocessing
        self._dtype = DTYPES[self.precision]
        fold_batch_norms(model.network)
        self._network = model.network.to(self._device, self._dtype).to(memory_format=torch.channels_last)
        if self._device.type == "cpu":
            self.most = _MOST_ON_CPU
            # On CUDA a pass takes milliseconds, and is only queued here.
            for block in self._network.modules():
                if isinstance(block, Bottleneck):
                    block.register_forward_pre_hook(self._between)
                    self.pauses += 1
        self._threads = engine_threads(settings.threads)

    def predict(self, batch: Tensor, pause: Callable[[], None] = never) -> Tensor:
        """See Engine.predict."""
        outer, self._between.pause = self._between.pause, pause
        try:
            return self._predict(batch)
        finally:
            self._between.pause = outer

    def _predict(self, batch: Tensor) -> Tensor:
        if self._device.type == "cpu":
            compute_with(self._threads)
        with torch.inference_mode(), self._exact():
            if self._device.type == "cuda":
                # From pinned memory the copy runs beside the work that the device still has.
                batch = batch.pin_memory()
            pixels = batch.to(self._device, memory_format=torch.channels_last, non_blocking=True)
            logits: Tensor = self._network(self._preprocessing.normalised(pixels).to(self._dtype))
            return logits.float().softmax(dim=1).cpu()

    def _exact(self) -> AbstractContextManager[None]:
        """fp32 on CUDA means fp32: TF32, which torch allows in convolutions, keeps ten bits."""
        if self._device.type == "cuda" and self.precision == "fp32":
            return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        return nullcontext()


class _BetweenBlocks:
    """What the network calls before each block. Apart from the engine, which would else be in a cycle with it."""

    def __init__(self) -> None:
        self.pause: Callable[[], None] = never

    def __call__(self, *_: object) -> None:
        self.pause()


def torch_device(wanted: str) -> torch.device:
    """The device that SCORER_DEVICE names. Raises UsageError."""
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    index = int(wanted.partition(":")[2] or 0)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        there = f"cuda:0 to cuda:{count - 1}" if count > 1 else "cuda:0" if count else "no CUDA device"
        raise UsageError(f"SCORER_DEVICE={wanted}: this machine has {there}; use auto or cpu")
    return torch.device("cuda", index)


def is_native(precision: str, device: torch.device) -> bool:
    """Whether torch has `precision` and the hardware does not merely emulate it, slower than fp32."""
    if precision == "int8":
        return False
    if device.type == "cuda":
        return precision != "bf16" or torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001  (the one way that torch has to ask)
    if precision == "fp16":
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())  # noqa: SLF001  (likewise)
    return True
