"""The engine that runs the network with torch itself, on CPU or CUDA: the numeric reference of the others."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from errors import UsageError
from inference.cores import usable_cores
from inference.model import Model
from inference.preprocess import Preprocessing
from settings import InferenceSettings

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine:
    """A ResNet50 moved to its device and precision, channels last (a third faster on CPUs with AVX-512)."""

    name = "torch"

    def __init__(self, model: Model, settings: InferenceSettings) -> None:
        """Blocks while weights are moved. Raises UsageError for a device or precision that is not there."""
        self._device = _device(settings.device)
        self.device = str(self._device)
        # bf16 and fp16 are faster but move probabilities by up to a percent: only on demand.
        self.precision = "fp32" if settings.precision == "auto" else settings.precision
        _check_precision(self.precision, self._device)
        self._preprocessing: Preprocessing = model.preprocessing
        self._dtype = DTYPES[self.precision]
        self._network = model.network.to(self._device, self._dtype).to(memory_format=torch.channels_last)
        if self._device.type == "cpu":
            torch.set_num_threads(settings.threads or usable_cores())

    def predict(self, batch: Tensor) -> Tensor:
        """See Engine.predict."""
        with torch.inference_mode(), self._exact():
            pixels = batch.to(self._device, memory_format=torch.channels_last)
            logits: Tensor = self._network(self._preprocessing.normalised(pixels).to(self._dtype))
            return logits.float().softmax(dim=1).cpu()

    def _exact(self) -> AbstractContextManager[None]:
        """fp32 on CUDA means fp32: TF32, which torch allows in convolutions, keeps ten bits."""
        if self._device.type == "cuda" and self.precision == "fp32":
            return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        return nullcontext()


def _device(wanted: str) -> torch.device:
    """The device that SCORER_DEVICE names. Raises UsageError."""
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    index = int(wanted.partition(":")[2] or 0)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        there = f"cuda:0 to cuda:{count - 1}" if count > 1 else "cuda:0" if count else "no CUDA device"
        raise UsageError(f"SCORER_DEVICE={wanted}: this machine has {there}; use auto or cpu")
    return torch.device("cuda", index)


def _check_precision(precision: str, device: torch.device) -> None:
    """Raises UsageError where the hardware would only emulate `precision`, slower than fp32."""
    if device.type == "cuda":
        native = precision != "bf16" or torch.cuda.is_bf16_supported(including_emulation=False)
    elif precision == "bf16":
        native = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001  (the one way that torch has to ask)
    elif precision == "fp16":
        native = torch.ops.mkldnn._is_mkldnn_fp16_supported()  # noqa: SLF001  (likewise)
    else:
        native = True
    if not native:
        raise UsageError(f"SCORER_PRECISION={precision}: this {device.type} does not have it; use auto or fp32")
