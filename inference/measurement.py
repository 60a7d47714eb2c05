"""How fast engines are on this machine: measured once, then remembered for as long as nothing about it changes."""

import hashlib
import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from inference.calibration import find_calibration
from inference.cores import engine_threads
from inference.engine import Engine
from inference.model import Model
from inference.openvino_runtime import installed
from settings import InferenceSettings
from telemetry import logger

BATCH_S = 1.0
"""What batches may take after the first one, and what single images may take."""
ALONE_S = 0.3
BATCH = {"cpu": 8, "cuda": 64}
"""On a CPU larger batches are no faster by the image, on a GPU they are."""
log = logger("inference")


class Speed(BaseModel):
    """One engine in one arithmetic."""

    model_config = ConfigDict(frozen=True)

    engine: str
    precision: str
    images_per_s: float
    """In batches."""
    alone_per_s: float
    """One image at a time."""

    def __str__(self) -> str:
        return f"{self.engine} {self.precision} {self.images_per_s:.0f}/s (one by one {self.alone_per_s:.0f}/s)"


class Remembered(BaseModel):
    """Speeds, and what they depend on."""

    model_config = ConfigDict(frozen=True)

    conditions: dict[str, str]
    speeds: tuple[Speed, ...]


def measure(engine: Engine, crop: int, most: int) -> Speed:
    """Run batches of at most `most` images, [N, 3, crop, crop], and single ones. Raises what the engine raises."""
    size = min(most, BATCH[engine.device.partition(":")[0]])
    images = torch.randint(256, (size, 3, crop, crop), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    if not engine.predict(images).isfinite().all():
        raise ArithmeticError("the probabilities are not finite")
    return Speed(
        engine=engine.name,
        precision=engine.precision,
        images_per_s=size / _least_s(engine, images, BATCH_S),
        alone_per_s=1 / _least_s(engine, images[:1], ALONE_S),
    )


def conditions(model: Model, settings: InferenceSettings, device: torch.device) -> dict[str, str]:
    """All that decides how fast the candidates are, and which there are."""
    calibration = find_calibration(model, settings)
    return {
        "processor": _processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": str(engine_threads(settings.threads)),
        "torch": torch.__version__,
        "openvino": version("openvino") if installed() else "",
        "classes": str(len(model.labels)),
        "crop": str(model.preprocessing.crop),
        "max_batch": str(min(settings.max_batch, BATCH[device.type])),
        "asked": f"{settings.engine} {settings.precision}",
        "calibration": calibration.images_sha256 if calibration else "",
    }


def recall(known: dict[str, str], folder: Path) -> tuple[Speed, ...]:
    """Speeds measured under the same conditions; empty where there are none that can be read."""
    try:
        found = Remembered.model_validate_json(_file(known, folder).read_bytes())
    except (OSError, ValidationError):
        return ()
    return found.speeds if found.conditions == known else ()


def remember(known: dict[str, str], speeds: tuple[Speed, ...], folder: Path) -> None:
    """For `recall`. A folder that cannot be written to costs the next start a measurement, no more."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
            file.write(Remembered(conditions=known, speeds=speeds).model_dump_json(indent=1))
        Path(file.name).replace(_file(known, folder))
    except OSError as error:
        log.warning("the engines' speeds could not be kept; the next start measures again", reason=str(error))


def _least_s(engine: Engine, images: torch.Tensor, within_s: float) -> float:
    """Whatever else the machine does only makes a batch slower: the fastest one counts. Blocks about `within_s`."""
    engine.predict(images)
    end, least = time.perf_counter() + within_s, float("inf")
    while True:
        begun = time.perf_counter()
        engine.predict(images)
        now = time.perf_counter()
        least = min(least, now - begun)
        if now + least > end:
            return least


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _file(known: dict[str, str], folder: Path) -> Path:
    return folder / f"{hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]}.json"
