"""Calibrates a model for int8: ranges from some of the user's images, a judgement on others."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import torch
from torch import Tensor

from errors import UsageError
from inference.calibration import Calibration
from inference.conversion import converted
from inference.cores import engine_threads
from inference.decode import Limits, probe
from inference.model import Model
from inference.openvino_engine import Compiled
from inference.openvino_runtime import nncf, openvino, quiet
from inference.preprocess import Preprocessing
from inference.reading import reader
from settings import InferenceSettings

LEAST_IMAGES = 200
"""Half of them are held back: with fewer than a hundred, two images more or less would decide over 98 %."""
MOST_CALIBRATING = 300
"""More do not make the ranges better; they are held back instead."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An image to calibrate with: digest of the encoded bytes, and the model's input, uint8 [3, crop, crop]."""

    sha256: str
    pixels: Tensor


def sample(image: bytes, preprocessing: Preprocessing, settings: InferenceSettings) -> Sample:
    """An encoded image as int8 will see it. Raises InvalidImage, UnsupportedImage, ImageTooLarge."""
    limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
    pixels, facts = reader(settings.decode, "int8")(probe(image, limits), preprocessing, None)
    return Sample(facts.sha256, pixels)


def split(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Calibrating and held-back samples. The same images are split alike, whatever their order; copies count once.

    Raises UsageError for fewer than LEAST_IMAGES.
    """
    different = {sample.sha256: sample for sample in samples}
    if len(different) < LEAST_IMAGES:
        raise UsageError(
            f"a calibration needs {LEAST_IMAGES} different images that can be read; here are {len(different)}"
        )
    # Digests are random enough to shuffle by, but a collection may have been picked by them: so digest once more.
    shuffled = sorted(different, key=lambda digest: hashlib.sha256(f"calibration {digest}".encode()).digest())
    count = min(len(shuffled) // 2, MOST_CALIBRATING)
    return [different[digest] for digest in shuffled[:count]], [different[digest] for digest in shuffled[count:]]


def quantize(
    model: Model, settings: InferenceSettings, calibrating: Sequence[Sample], advance: Callable[[int], None]
) -> Any:
    """The network with int8 weights and activations, whose ranges are those on `calibrating`. Blocks for half a minute.

    `advance` is called with 1 for each sample. Raises UsageError where NNCF is not installed.
    """
    quantizer, network = nncf(), converted(model, settings)

    def pixels(sample: Sample) -> Any:
        advance(1)
        return model.preprocessing.normalised(sample.pixels.unsqueeze(0)).numpy()

    # NNCF's progress bars would stand among the results.
    with quiet(), redirect_stdout(StringIO()):
        return quantizer.quantize(
            network,
            quantizer.Dataset(calibrating, pixels),
            # Behind ReLUs activations have one sign, which a symmetric range would waste half on.
            preset=quantizer.QuantizationPreset.MIXED,
            subset_size=len(calibrating),
        )


def judge(
    network: Any,
    model: Model,
    settings: InferenceSettings,
    parts: tuple[Sequence[Sample], Sequence[Sample]],
    bound: float,
) -> Calibration:
    """Compare the quantized `network` with fp32. `parts` are those of `split`; only the second one is looked at."""
    calibrating, held_back = parts
    threads = engine_threads(settings.threads)
    exact, quantized = (
        _rows(Compiled(one, model.preprocessing, precision, threads), held_back)
        for one, precision in ((converted(model, settings), "fp32"), (network, "int8"))
    )
    errors = (exact - quantized).abs().amax(dim=1)
    digests = "\n".join(sorted(sample.sha256 for sample in calibrating))
    return Calibration(
        weights_sha256=model.weights_sha256,
        preprocessing=str(model.preprocessing),
        images_sha256=hashlib.sha256(digests.encode()).hexdigest(),
        images=len(calibrating),
        held_back=len(held_back),
        agreement=float((exact.argmax(dim=1) == quantized.argmax(dim=1)).float().mean()),
        mean_error=float(errors.mean()),
        max_error=float(errors.max()),
        bound=bound,
        versions={"openvino": openvino().get_version(), "nncf": nncf().__version__},
    )


def _rows(compiled: Compiled, samples: Sequence[Sample]) -> Tensor:
    return torch.cat([compiled.probabilities(sample.pixels.unsqueeze(0)) for sample in samples])
