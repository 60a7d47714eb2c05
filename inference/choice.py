"""Which engine runs the model here: the one that the settings name, and where they leave it open the fastest one.

| SCORER_ENGINE | SCORER_PRECISION | runs |
|---|---|---|
| named | named | just that |
| named | auto | that engine in fp32 |
| auto | named | the faster engine of those that have it |
| auto | auto | the fastest of all that the hardware does natively; int8 where a calibration was made and passed |
"""

import copy
import dataclasses
import time
from collections.abc import Callable

import torch

from inference.calibration import find_calibration
from inference.engine import Engine
from inference.measurement import Speed, conditions, measure, recall, remember
from inference.model import Model
from inference.openvino_engine import OpenVinoEngine, native_precisions
from inference.openvino_runtime import installed
from inference.torch_engine import TorchEngine, is_native, torch_device
from settings import InferenceSettings
from telemetry import logger

ENGINES: dict[str, Callable[[Model, InferenceSettings], Engine]] = {"torch": TorchEngine, "openvino": OpenVinoEngine}
OTHERS_S = 8.0
"""So long after the first candidate no other one is begun with."""
log = logger("inference")
Candidate = tuple[str, str]
"""Engine and precision."""


def open_engine(model: Model, settings: InferenceSettings) -> Engine:
    """The engine, loaded. Blocks; up to ten seconds where it has to measure. Raises UsageError."""
    engine, precision = _chosen(model, settings)
    return _open(model, settings, engine, precision)


def _chosen(model: Model, settings: InferenceSettings) -> Candidate:
    if settings.precision == "int8":
        return "openvino" if settings.engine == "auto" else settings.engine, "int8"
    if settings.engine != "auto":
        return settings.engine, "fp32" if settings.precision == "auto" else settings.precision
    device = torch_device(settings.device)
    known, folder = conditions(model, settings, device), settings.cache_dir / "speeds"
    speeds = recall(known, folder)
    measured = not speeds
    if measured:
        candidates = _candidates(model, settings, device)
        if len(candidates) == 1:
            return candidates[0]
        speeds = _measure(candidates, model, settings)
        remember(known, speeds, folder)
    best = max(speeds, key=lambda speed: speed.images_per_s)
    log.info(
        "the fastest engine was chosen", engine=best.engine, precision=best.precision, measured_now=measured,
        speeds=", ".join(map(str, speeds)),
    )  # fmt: skip
    return best.engine, best.precision


def _candidates(model: Model, settings: InferenceSettings, device: torch.device) -> list[Candidate]:
    """What the hardware does natively and the settings allow, the likely fastest first; at least one."""
    asked = ("bf16", "fp16", "fp32") if settings.precision == "auto" else (settings.precision,)
    found = [("torch", precision) for precision in asked if is_native(precision, device)]
    if device.type == "cpu" and installed():
        there = native_precisions()
        found = [("openvino", precision) for precision in asked if precision in there] + found
        if settings.precision == "auto" and find_calibration(model, settings) is not None:
            found.insert(0, ("openvino", "int8"))
    # What nothing does natively is for torch to refuse.
    return found or [("torch", settings.precision)]


def _measure(candidates: list[Candidate], model: Model, settings: InferenceSettings) -> tuple[Speed, ...]:
    """At least one. Raises what the last candidate raises where none of them works."""
    speeds: list[Speed] = []
    failure: Exception | None = None
    end = float("inf")
    for engine, precision in candidates:
        if time.monotonic() > end:
            break
        try:
            # TorchEngine converts the weights in place, and the next candidate needs them as they were.
            spare = dataclasses.replace(model, network=copy.deepcopy(model.network))
            opened = _open(spare, settings, engine, precision)
            speeds.append(measure(opened, model.preprocessing.crop, settings.max_batch))
            # The first one may have had to convert the network, which is not done again.
            end = min(end, time.monotonic() + OTHERS_S)
        except Exception as error:  # noqa: BLE001  (engines fail in many ways; one that does is not chosen)
            log.warning("an engine does not work here", engine=engine, precision=precision, error=str(error))
            failure = error
    if failure is not None and not speeds:
        raise failure
    return tuple(speeds)


def _open(model: Model, settings: InferenceSettings, engine: str, precision: str) -> Engine:
    return ENGINES[engine](model, settings.model_copy(update={"engine": engine, "precision": precision}))
