"""The numeric reference: plain PIL, torchvision's own transforms and an fp32 ResNet50, independent of inference/."""

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torchvision.models import ResNet50_Weights, resnet50


def reference_pixels(image: bytes) -> torch.Tensor:
    """Encoded image to the model's input, float32 [3, 224, 224], with the transforms of IMAGENET1K_V2."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(image))).convert("RGB")
    pixels: torch.Tensor = ResNet50_Weights.IMAGENET1K_V2.transforms()(picture)
    return pixels


def reference_probabilities(checkpoint: Path, images: Sequence[bytes]) -> torch.Tensor:
    """float32 [N, C]; every image goes through the model alone."""
    weights = torch.load(checkpoint, weights_only=True)
    model = resnet50(num_classes=len(weights["fc.bias"]))
    model.load_state_dict(weights)
    model.eval()
    with torch.inference_mode():
        logits = torch.cat([model(reference_pixels(image).unsqueeze(0)) for image in images])
    return logits.softmax(dim=1)


def reference_top1(checkpoint: Path, images: Sequence[bytes]) -> list[tuple[int, float]]:
    """Most probable class of each image, and its probability."""
    best = reference_probabilities(checkpoint, images).max(dim=1)
    return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
