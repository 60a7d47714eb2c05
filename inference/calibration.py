"""A calibration for int8 on disk: the quantized network and how it was judged, one for each model and preprocessing."""

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from errors import UsageError
from inference.model import Model
from inference.stored_network import Damaged, facts, keep, read
from settings import InferenceSettings
from telemetry import logger

REMEDY = "run `streamscorer calibrate` on images of yours, with these settings"
log = logger("inference")


class Calibration(BaseModel):
    """How int8 compares with fp32 on images that took no part in the calibration."""

    model_config = ConfigDict(frozen=True)

    weights_sha256: str
    preprocessing: str
    images_sha256: str
    """Over the digests of the calibrating images, sorted: names the calibration."""
    images: int
    """How many those were."""
    held_back: int
    """How many others int8 was compared on."""
    agreement: float
    """Share of the held-back images with the same most probable class."""
    mean_error: float
    """For each held-back image the largest difference in any class's probability: their mean."""
    max_error: float
    bound: float
    """Least agreement with which the calibration may be used."""
    versions: dict[str, str]

    @property
    def passes(self) -> bool:
        return self.agreement >= self.bound


def find_calibration(model: Model, settings: InferenceSettings) -> Calibration | None:
    """That of the model, if there is one and it may be used."""
    try:
        found = Calibration.model_validate(facts(_folder(model, settings)))
    except ValidationError:
        return None
    fits = (found.weights_sha256, found.preprocessing) == (model.weights_sha256, str(model.preprocessing))
    return found if fits and found.passes else None


def calibrated(model: Model, settings: InferenceSettings) -> Any:
    """The quantized network, as `inference.conversion.converted`. Raises UsageError where there is none to use."""
    calibration = find_calibration(model, settings)
    if calibration is None:
        raise UsageError(
            f"SCORER_PRECISION=int8: no calibration for {model.name} in {_folder(model, settings)}; {REMEDY}"
        )
    try:
        network = read(_folder(model, settings))
    except Damaged as damage:
        raise UsageError(f"SCORER_PRECISION=int8: {damage}; {REMEDY}") from damage
    log.info(
        "int8 by calibration", calibration=calibration.images_sha256[:12], images=calibration.images,
        agreement=calibration.agreement, max_error=round(calibration.max_error, 4),
    )  # fmt: skip
    return network


def keep_calibration(network: Any, calibration: Calibration, model: Model, settings: InferenceSettings) -> Path:
    """Replaces the model's former one; the folder. Raises OSError."""
    folder = _folder(model, settings)
    keep(network, folder, calibration.model_dump())
    return folder


def _folder(model: Model, settings: InferenceSettings) -> Path:
    fits = hashlib.sha256(f"{model.weights_sha256}\n{model.preprocessing}".encode()).hexdigest()
    return settings.data_dir / "calibrations" / fits[:16]
