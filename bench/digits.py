"""A ResNet50 that has learnt something: scikit-learn's handwritten digits, in a few minutes on two cores."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import resnet50

from inference.preprocess import Preprocessing
from inference.quantization import Sample, sample
from inference.torch_engine import is_native
from settings import InferenceSettings

PREPROCESSING = Preprocessing(resize=32, crop=32)
CLASSES = 10
HELD_BACK = 597
"""Of 1,797; training and calibration never see them."""
BATCH = 40
RATE = 2e-3


@dataclass(frozen=True, slots=True)
class Part:
    """Digits as the model sees them, and which ones they are, int64 [N]."""

    samples: list[Sample]
    classes: Tensor

    @property
    def pixels(self) -> Tensor:
        """uint8 [N, 3, 32, 32]."""
        return torch.stack([one.pixels for one in self.samples])


def digits(seed: int) -> tuple[Part, Part]:
    """To learn from, and held back. Each digit is a PNG of its own, read as any other image."""
    from sklearn.datasets import load_digits

    found = load_digits()
    settings = InferenceSettings()
    samples = []
    for grey in found.images:
        small = Image.fromarray((255 - grey * 15.9).astype(np.uint8))
        encoded = io.BytesIO()
        small.resize((40, 40), Image.Resampling.BICUBIC).convert("RGB").save(encoded, "PNG")
        samples.append(sample(encoded.getvalue(), PREPROCESSING, settings))
    order = np.random.default_rng(seed).permutation(len(samples))
    classes = torch.from_numpy(found.target[order])
    shuffled = [samples[index] for index in order]
    return Part(shuffled[HELD_BACK:], classes[HELD_BACK:]), Part(shuffled[:HELD_BACK], classes[:HELD_BACK])


def train(part: Part, path: Path, seed: int, epochs: int) -> None:
    """Write a checkpoint (a state_dict) to `path`. Blocks for about a quarter of a minute an epoch on two cores."""
    native = is_native("bf16", torch.device("cpu"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = resnet50(num_classes=CLASSES).to(memory_format=torch.channels_last).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.01)
        steps = epochs * (len(part.samples) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        pixels, classes = PREPROCESSING.normalised(part.pixels), part.classes
        for _ in range(epochs):
            for chosen in torch.randperm(len(classes))[: len(classes) // BATCH * BATCH].reshape(-1, BATCH):
                with torch.autocast("cpu", torch.bfloat16, enabled=native):
                    answers = network(_moved(pixels[chosen]))
                loss = nn.functional.cross_entropy(answers.float(), classes[chosen])
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
    torch.save(network.state_dict(), path)


def _moved(batch: Tensor) -> Tensor:
    """A few pixels to a side, differently each time, so that places are not learnt by heart."""
    down, right = (int(shift) for shift in torch.randint(-2, 3, (2,)))
    return batch.roll((down, right), dims=(2, 3)).to(memory_format=torch.channels_last)
