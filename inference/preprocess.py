"""From an RGB picture to the model's input: resize the shorter side, crop the middle; bit for bit as torchvision does.

The resize is Pillow's, because the reference (torchvision's transforms on a PIL image) is. reading.py has a faster one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from errors import UsageError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LARGEST_SIDE = 2048
ELONGATED = 64
"""Long side over short side from which only the middle is resized: the whole could be gigapixels, of which all but a
square is thrown away. Pixels may then differ from the reference by one level."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How the model wants its pictures. `str()` is the canonical form, part of model_version."""

    resize: int = 232
    crop: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize <= LARGEST_SIDE:
            raise UsageError(
                f"preprocessing resize={self.resize},crop={self.crop}: 1 <= crop <= resize <= {LARGEST_SIDE} must hold"
            )
        if not all(0 < part <= 1 for part in self.std) or not all(0 <= part <= 1 for part in self.mean):
            raise UsageError(f"preprocessing {self}: mean must be from 0 to 1, std above 0 and at most 1")

    def __str__(self) -> str:
        mean, std = ("/".join(f"{part:g}" for part in parts) for parts in (self.mean, self.std))
        return f"resize={self.resize},crop={self.crop},mean={mean},std={std}"

    @classmethod
    def parse(cls, text: str, default: Self) -> Self:
        """Read `resize=232,crop=224,mean=0.485/0.456/0.406,std=...`; what is left out is that of `default`."""
        given: dict[str, str] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, _, value = part.partition("=")
            if name not in {"resize", "crop", "mean", "std"} or name in given:
                raise _unreadable(text, part)
            given[name] = value
        return cls(
            resize=_side(text, given.get("resize"), default.resize),
            crop=_side(text, given.get("crop"), default.crop),
            mean=_channels(text, given.get("mean"), default.mean),
            std=_channels(text, given.get("std"), default.std),
        )

    def pixels(self, picture: Image.Image) -> Tensor:
        """RGB picture of any size to uint8 [3, crop, crop]; in memory the channels are last."""
        width, height = picture.size
        to, (left, top) = self.plan(picture.size)
        if elongated(picture.size):
            across, down = width / to[0], height / to[1]
            right, bottom = min((left + self.crop) * across, width), min((top + self.crop) * down, height)
            box = (left * across, top * down, right, bottom)
            cropped = picture.resize((self.crop, self.crop), Image.Resampling.BILINEAR, box=box)
        else:
            resized = picture if picture.size == to else picture.resize(to, Image.Resampling.BILINEAR)
            cropped = resized.crop((left, top, left + self.crop, top + self.crop))
        return torch.from_numpy(np.array(cropped)).permute(2, 0, 1)

    def plan(self, size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """Width and height to resize a picture of `size` to, then left and top of the crop."""
        width, height = size
        # The long side is rounded down, the offset of the crop to even: both as torchvision does.
        resized_long = int(self.resize * max(size) / min(size))
        to = (self.resize, resized_long) if width <= height else (resized_long, self.resize)
        left, top = (round((side - self.crop) / 2.0) for side in to)
        return to, (left, top)

    def normalised(self, batch: Tensor) -> Tensor:
        """uint8 [N, 3, H, W] to float32, as the weights expect it; float32 is taken to be so already."""
        if batch.dtype != torch.uint8:
            return batch
        mean = torch.tensor(self.mean, device=batch.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=batch.device).view(1, 3, 1, 1)
        return batch.to(torch.float32).div_(255).sub_(mean).div_(std)


def elongated(size: tuple[int, int]) -> bool:
    """Whether only the middle of a picture of this size is resized."""
    return max(size) > ELONGATED * min(size)


def stack(images: Sequence[Tensor]) -> Tensor:
    """Images [3, H, W] to a batch [N, 3, H, W] whose channels are last in memory, as theirs are: a plain copy."""
    return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)


def _side(text: str, value: str | None, default: int) -> int:
    if value is None:
        return default
    if not re.fullmatch(r"[0-9]{1,4}", value):
        raise _unreadable(text, value)
    return int(value)


def _channels(text: str, value: str | None, default: tuple[float, float, float]) -> tuple[float, float, float]:
    if value is None:
        return default
    try:
        red, green, blue = (float(part) for part in value.split("/"))
    except ValueError:
        raise _unreadable(text, value) from None
    return red, green, blue


def _unreadable(text: str, part: str) -> UsageError:
    return UsageError(
        f"SCORER_PREPROCESSING={text}: cannot read {part!r}; "
        "it looks like resize=232,crop=224,mean=0.485/0.456/0.406,std=0.229/0.224/0.225"
    )
