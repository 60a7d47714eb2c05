"""The engine that runs the network with OpenVINO: the fast path on a CPU, in fp32, bf16, or int8 once calibrated."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from errors import UsageError
from inference.calibration import calibrated
from inference.conversion import converted
from inference.cores import engine_threads
from inference.engine import ANY_NUMBER, never
from inference.model import Model
from inference.openvino_runtime import openvino
from inference.preprocess import Preprocessing
from settings import InferenceSettings

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""What layers compute in that are not quantized. Without a hint OpenVINO takes bf16 where the CPU has it, unasked."""
CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "int8": "INT8"}


class OpenVinoEngine:
    """A network compiled for this CPU. Differs from TorchEngine in fp32 by less than 1e-4 in any probability."""

    name = "openvino"
    device = "cpu"
    most = ANY_NUMBER
    pauses = 0

    def __init__(self, model: Model, settings: InferenceSettings) -> None:
        """Blocks while the network is converted (2 s, once) and compiled. Raises UsageError for what is not there."""
        self.precision = "fp32" if settings.precision == "auto" else settings.precision
        if settings.device not in {"auto", "cpu"}:
            raise UsageError(
                f"SCORER_ENGINE=openvino runs on the CPU, not on SCORER_DEVICE={settings.device}: use torch"
            )
        if self.precision not in native_precisions():
            there = ", ".join(native_precisions())
            raise UsageError(f"SCORER_PRECISION={self.precision}: OpenVINO has {there} on this CPU")
        network = calibrated(model, settings) if self.precision == "int8" else converted(model, settings)
        self._network = Compiled(network, model.preprocessing, self.precision, engine_threads(settings.threads))

    def predict(self, batch: Tensor, pause: Callable[[], None] = never) -> Tensor:  # noqa: ARG002  (it never pauses)
        """See Engine.predict."""
        return self._network.probabilities(batch)


class Compiled:
    """A network as `converted` gives it, compiled for `precision`; one batch at a time, on all `threads`."""

    def __init__(self, network: Any, preprocessing: Preprocessing, precision: str, threads: int) -> None:
        self._options = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            # Pinned, the processes of one machine would all sit on its first cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._network = network
        self._requests = {torch.uint8: self._request(_on_bytes(network, preprocessing))}

    def probabilities(self, batch: Tensor) -> Tensor:
        """uint8 or normalised float32 [N, 3, H, W] to float32 [N, C]; see Engine.predict."""
        if batch.dtype not in self._requests:
            # Few callers have floats: compiled (0.1 s, and the weights once more in memory) when the first one comes.
            self._requests[batch.dtype] = self._request(self._network)
        # Neither input nor output is copied: softmax makes what leaves.
        logits = self._requests[batch.dtype].infer([batch.contiguous().numpy()], share_inputs=True, share_outputs=True)
        return torch.from_numpy(logits[0]).softmax(dim=1)

    def _request(self, network: Any) -> Any:
        return openvino().Core().compile_model(network, "CPU", self._options).create_infer_request()


def native_precisions() -> tuple[str, ...]:
    """What OpenVINO does in this CPU's own arithmetic. Raises UsageError where it is not installed."""
    there = openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(precision for precision, capability in CAPABILITIES.items() if capability in there)


def _on_bytes(network: Any, preprocessing: Preprocessing) -> Any:
    """The network with the normalisation in front, so that it takes pixels as uint8."""
    ov = openvino()
    taking_bytes = ov.preprocess.PrePostProcessor(network.clone())
    pixels = taking_bytes.input()
    pixels.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NCHW"))
    pixels.model().set_layout(ov.Layout("NCHW"))
    mean, std = ([255 * part for part in parts] for parts in (preprocessing.mean, preprocessing.std))
    pixels.preprocess().convert_element_type(ov.Type.f32).mean(mean).scale(std)
    return taking_bytes.build()
