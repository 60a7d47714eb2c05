"""Encoded image to the model's input: exactly as the reference does, or faster where that hardly moves the scores.

Every way refuses the same files. What the fast ones change in pixels and scores: docs/decisions/0012-fast-decoding.md.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from inference.decode import Probe, check_scans, decode, facts, jpeg_pixels, orientation, plain_jpeg, refusing, rgb
from inference.preprocess import Preprocessing, elongated
from schemas.predictions import ImageInfo

ROOM = 3
"""A JPEG is read smaller where this many times the resized shorter side remains. Less would hardly be faster and two
or three times as far from the reference: the resize would have little left to average over."""

Read = Callable[[Probe, Preprocessing, str | None], tuple[Tensor, ImageInfo]]
"""uint8 [3, crop, crop], channels last in memory, and the facts of the whole picture. Takes the sha256 of the bytes
where it is known already. Raises InvalidImage."""

SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""
_UPRIGHT: dict[int, Callable[[Tensor], Tensor]] = {
    2: lambda pixels: pixels.flip(2),
    3: lambda pixels: pixels.flip(1, 2),
    4: lambda pixels: pixels.flip(1),
    5: lambda pixels: pixels.transpose(1, 2),
    6: lambda pixels: pixels.transpose(1, 2).flip(2),
    7: lambda pixels: pixels.transpose(1, 2).flip(1, 2),
    8: lambda pixels: pixels.transpose(1, 2).flip(1),
}
"""What turns [3, H, W] upright, by EXIF orientation."""


def reader(mode: Literal["fast", "exact"], precision: str) -> Read:
    """By SCORER_DECODE and the engine's precision: the resize need not be more exact than the arithmetic behind it."""
    if mode == "exact":
        return read_exactly
    return read_shrunk if precision == "fp32" else read_fast


def read_exactly(image: Probe, preprocessing: Preprocessing, sha256: str | None = None) -> tuple[Tensor, ImageInfo]:
    """Bit for bit what torchvision's transforms give. See Read."""
    picture, info = decode(image, sha256)
    return preprocessing.pixels(picture), info


def read_shrunk(image: Probe, preprocessing: Preprocessing, sha256: str | None = None) -> tuple[Tensor, ImageInfo]:
    """Large JPEGs fast, all else exactly. See Read."""
    read = read_fast if _shrinks(image, preprocessing) else read_exactly
    return read(image, preprocessing, sha256)


def read_fast(image: Probe, preprocessing: Preprocessing, sha256: str | None = None) -> tuple[Tensor, ImageInfo]:
    """Large JPEGs are read at 1/2, 1/4 or 1/8 of their size; the resize is torch's. See Read."""
    whole = image.file.size
    if elongated(whole):
        return read_exactly(image, preprocessing, sha256)
    with refusing(image):
        if _shrinks(image, preprocessing):
            check_scans(image)
            # torchvision has no way to ask libjpeg for this. None: the mode stays.
            at_least = ROOM * preprocessing.resize
            image.file.draft(None, (at_least, at_least))
            pixels = None
        else:
            pixels = jpeg_pixels(image)
        stored = torch.from_numpy(np.array(rgb(image.file))) if pixels is None else pixels
        turned = orientation(image.file)
        sideways = turned in SIDEWAYS
        upright = whole[::-1] if sideways else whole
        to, (left, top) = preprocessing.plan(upright)
        resized = _resized(stored, whole, to[::-1] if sideways else to, sideways=sideways)
        pixels = _UPRIGHT[turned](resized) if turned in _UPRIGHT else resized
    crop = preprocessing.crop
    return pixels[:, top : top + crop, left : left + crop], facts(image, upright, sha256)


def _shrinks(image: Probe, preprocessing: Preprocessing) -> bool:
    return plain_jpeg(image) and min(image.file.size) >= 2 * ROOM * preprocessing.resize


def _resized(stored: Tensor, whole: tuple[int, int], to: tuple[int, int], *, sideways: bool) -> Tensor:
    """uint8 [H, W, 3], which was `whole` before it was shrunk, to [3, *to]; sizes are width and height.

    Several times as fast as Pillow, a vectorised loop over bytes; its values differ from Pillow's by at most one level.
    """
    batch = stored.unsqueeze(0).permute(0, 3, 1, 2)
    # The last row and column of a shrunk picture may be partly filled: the scale is that of the whole.
    shrunk = round(whole[0] / stored.shape[1])
    down, across = (shrunk * after / before for after, before in zip(to[::-1], whole[::-1], strict=True))
    # Pillow does an upright picture's width first, and rounds before it does the height.
    steps = [(to[1], stored.shape[1]), to[::-1]] if sideways else [to[::-1]]
    for size in steps:
        scales = (down if size[0] != batch.shape[2] else None, across if size[1] != batch.shape[3] else None)
        # What interpolate() calls, which has no parameter for a scale beside a size.
        batch = torch.ops.aten._upsample_bilinear2d_aa(batch, size, False, *scales)  # noqa: SLF001
    return batch[0]
