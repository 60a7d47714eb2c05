"""Seeded ResNet50 checkpoints under which the sample photos get different classes.

Plain random weights give one class to every picture. Three steps mend that without training:
residual branches are damped (small differences between pixels stay small), batch norm learns its statistics from the
samples, and the head looks at what differs between them, scaled so that no probability is near 1.
"""

import math
from pathlib import Path

import torch
from PIL import Image
from torchvision.models import ResNet50_Weights, resnet50

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
BRANCH_SCALE = 0.1
LOGIT_SPREAD = 0.5
"""Standard deviation of a picture's logits over the logarithm of the number of classes: the best gets 0.1 to 0.6."""


def sample_images() -> dict[str, bytes]:
    """The bundled photos, encoded, by file name."""
    return {path.name: path.read_bytes() for path in sorted(SAMPLES.iterdir()) if path.suffix != ".md"}


def make_checkpoint(path: Path, *, classes: int = 1000) -> Path:
    """Write a ResNet50 state_dict (fp32, torch.save) with `classes` outputs to `path`, and return it."""
    transforms = ResNet50_Weights.IMAGENET1K_V2.transforms()
    photos = torch.stack([transforms(Image.open(SAMPLES / name).convert("RGB")) for name in sample_images()])
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(20)
        model = resnet50(num_classes=classes)
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # plain average over the one pass below
                if name.endswith("bn3"):
                    torch.nn.init.constant_(module.weight, BRANCH_SCALE)
        model.train()(photos)
        head, model.fc = model.fc, torch.nn.Identity()
        features = model.eval()(photos)
        middle = features.mean(dim=0)
        weight = torch.randn(head.weight.shape)
        weight *= LOGIT_SPREAD * math.log(classes) / ((features - middle) @ weight.T).std(dim=1).mean()
        head.weight.copy_(weight)
        head.bias.copy_(-(weight @ middle))
        model.fc = head
    torch.save(model.state_dict(), path)
    return path
