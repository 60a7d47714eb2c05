"""The model that scores: which weights, labels and preprocessing, and the version that names the three."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from errors import UsageError
from inference.checkpoint import Weights, build, digest, read_weights
from inference.preprocess import Preprocessing
from inference.published_weights import published_weights
from inference.vision import ResNet50_Weights, resnet50
from schemas.predictions import ModelInfo
from settings import InferenceSettings
from telemetry import logger

PREPROCESSING = {
    "IMAGENET1K_V2": Preprocessing(resize=232, crop=224),
    "IMAGENET1K_V1": Preprocessing(resize=256, crop=224),
}
UNTRAINED = "untrained"
SEED = 0
log = logger("inference")


@dataclass(frozen=True, slots=True)
class Model:
    """An fp32 ResNet50 in eval mode on the CPU, and what its answers mean."""

    network: nn.Module
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    name: str
    version: str
    weights: str
    """IMAGENET1K_V2, IMAGENET1K_V1, untrained, or a file's name."""
    weights_sha256: str
    untrained: bool = False

    def info(self, engine: str, precision: str, device: str) -> ModelInfo:
        """What the table `models` keeps, with the engine that runs it here."""
        return ModelInfo(
            model_version=self.version,
            name=self.name,
            weights=self.weights,
            weights_sha256=self.weights_sha256,
            preprocessing=str(self.preprocessing),
            labels=self.labels,
            engine=engine,
            precision=precision,
            device=device,
            untrained=self.untrained,
        )


def load_model(settings: InferenceSettings) -> Model:
    """Read, check and digest what the settings name. Blocks; may download. Raises UsageError, WeightsUnreachable."""
    chosen = settings.weights
    untrained = chosen == UNTRAINED
    weights = _untrained() if untrained else _weights(chosen)
    network = build(weights, f"SCORER_WEIGHTS={chosen}")
    preprocessing = PREPROCESSING.get(chosen, PREPROCESSING["IMAGENET1K_V2"])
    if settings.preprocessing:
        preprocessing = Preprocessing.parse(settings.preprocessing, preprocessing)
    labels = _labels(settings.labels, classes=weights["fc.weight"].shape[0])
    weights_sha256 = digest(weights)
    # Newlines cannot occur within a part, so no two different models are digested alike.
    parts = "\n".join((weights_sha256, str(preprocessing), *labels))
    derived = "-".join(
        (settings.model_name, *((UNTRAINED,) if untrained else ()), hashlib.sha256(parts.encode()).hexdigest()[:12])
    )
    model = Model(
        network=network,
        preprocessing=preprocessing,
        labels=labels,
        name=settings.model_name,
        version=settings.model_version or derived,
        weights=chosen if untrained or chosen in PREPROCESSING else Path(chosen).name,
        weights_sha256=weights_sha256,
        untrained=untrained,
    )
    if untrained:
        log.warning("the model is untrained: its labels mean nothing", model_version=model.version)
    return model


def fetch_weights(chosen: str) -> Path | None:
    """Bring published weights into the cache; None where `chosen` (SCORER_WEIGHTS) is not one of them.

    Blocks; may download. Raises WeightsUnreachable, UsageError (a damaged file in the cache).
    """
    return published_weights(ResNet50_Weights[chosen].url) if chosen in PREPROCESSING else None


def _weights(chosen: str) -> Weights:
    published = fetch_weights(chosen)
    if published is not None:
        return read_weights(published)
    path = Path(chosen).expanduser()
    if not path.exists() and path.name == chosen and not path.suffix:
        raise UsageError(f"SCORER_WEIGHTS={chosen}: neither a file nor one of {', '.join(PREPROCESSING)}, {UNTRAINED}")
    return read_weights(path)


def _untrained() -> Weights:
    """Random, and the same each time; torch's own generator is left as it was.

    Weak residual branches keep every probability near chance, so that no answer looks confident.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = resnet50()
    for name, parameter in network.named_parameters():
        if name.endswith("bn3.weight"):
            nn.init.constant_(parameter, 0.2)
    return {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}


def _labels(path: Path | None, classes: int) -> tuple[str, ...]:
    """One label a class, from the file or ImageNet's. Raises UsageError."""
    if path is None:
        imagenet: list[str] = ResNet50_Weights.IMAGENET1K_V2.meta["categories"]
        if classes != len(imagenet):
            raise UsageError(
                f"the checkpoint's head has {classes} classes and ImageNet's labels are {len(imagenet)}: "
                f"set SCORER_LABELS to a text file with {classes} labels, one a line"
            )
        return tuple(imagenet)
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
    except OSError as error:
        raise UsageError(f"SCORER_LABELS={path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"SCORER_LABELS={path}: is not UTF-8 text") from error
    labels = tuple(line.strip() for line in lines)
    if "" in labels:
        raise UsageError(f"SCORER_LABELS={path}: line {labels.index('') + 1} is empty")
    if len(labels) != classes:
        raise UsageError(
            f"SCORER_LABELS={path}: has {len(labels)} labels and the checkpoint's head has {classes} classes; "
            "it needs one label a line for each class"
        )
    return labels
