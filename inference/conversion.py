"""The model as OpenVINO's network: converted from torch once (2 s), then read from the cache."""

from typing import Any

import torch

from inference.model import Model
from inference.openvino_runtime import openvino, quiet
from inference.stored_network import Damaged, facts, keep, read
from settings import InferenceSettings
from telemetry import logger

log = logger("inference")


def converted(model: Model, settings: InferenceSettings) -> Any:
    """The network, fp32: normalised pixels [N, 3, crop, crop] in, logits [N, C] out. Raises UsageError.

    A cache that cannot be read or written is remarked upon, and does without.
    """
    ov = openvino()
    crop = model.preprocessing.crop
    folder = settings.cache_dir / "networks" / f"{model.weights_sha256[:16]}-{crop}"
    about = {"weights_sha256": model.weights_sha256, "crop": crop, "openvino": ov.get_version()}
    known = facts(folder)
    if known is not None and about.items() <= known.items():
        try:
            return read(folder)
        except Damaged as damage:
            log.warning("a converted network in the cache is damaged and is made again", reason=str(damage))
    # Tracing runs the network once; what it sees must not require gradients.
    with torch.no_grad(), quiet():
        example = torch.zeros(1, 3, crop, crop)
        network = ov.convert_model(model.network, example_input=example, input=[ov.PartialShape([-1, 3, crop, crop])])
    try:
        keep(network, folder, about)
    except OSError as error:
        log.warning("the converted network could not be kept; the next start converts it again", reason=str(error))
    return network
