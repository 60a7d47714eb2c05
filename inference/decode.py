"""Encoded image bytes to an upright RGB picture, under limits that hold before anything is decoded.

JPEG goes through torchvision (libjpeg-turbo), a third faster than Pillow on large pictures. Pillow reads the rest:
there it is as fast (zlib-ng) or faster (GIF), knows animations and odd colour modes, and is what the reference uses.
16-bit PNGs keep their upper eight bits; Pillow's own conversion would turn all but the darkest pixels white.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from torch import Tensor

from errors import ImageTooLarge, InvalidImage
from inference.header import Format, sniff, webp_canvas
from inference.vision import ImageReadMode, decode_jpeg
from schemas.digests import sha256_hex
from schemas.predictions import ImageInfo

ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MOST_SCANS = 200
"""Scans in a progressive JPEG: real ones have about ten, and each costs a pass over all pixels."""
_SCAN = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e][\1-\4]")
"""The start of a scan of one to four components; FF DA cannot occur within compressed data."""

# The classes themselves, not Image.open: the format is known, and the limit on pixels is ours, not Pillow's.
_READERS: dict[Format, type[ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest image that is accepted: encoded bytes, and width x height."""

    bytes: int
    pixels: int

    def check_bytes(self, size: int) -> None:
        if size > self.bytes:
            raise ImageTooLarge(f"the image has {size:,} bytes; at most {self.bytes:,} are accepted")

    def check_pixels(self, width: int, height: int) -> None:
        if width * height > self.pixels:
            raise ImageTooLarge(
                f"the image is {width:,} x {height:,} = {width * height:,} pixels; at most {self.pixels:,} are accepted"
            )


@dataclass(frozen=True, slots=True)
class Probe:
    """An image of which only the header was read."""

    data: bytes
    format: Format
    file: ImageFile.ImageFile

    @property
    def pixels(self) -> int:
        return self.file.width * self.file.height


def probe(data: bytes, limits: Limits) -> Probe:
    """Read the header. Raises InvalidImage, UnsupportedImage, ImageTooLarge."""
    limits.check_bytes(len(data))
    format_ = sniff(data)
    if format_ == "webp":
        limits.check_pixels(*webp_canvas(data))
    try:
        file = _READERS[format_](io.BytesIO(data))
    except MemoryError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(f"the image is larger than Pillow will open: {error}") from error
    except Exception as error:
        raise InvalidImage(
            f"the image says it is {format_.upper()}, but its header is broken: {_line(error)}"
        ) from error
    limits.check_pixels(file.width, file.height)
    if min(file.size) < 1:
        raise InvalidImage(f"the image is {file.width} x {file.height} pixels")
    return Probe(data, format_, file)


def decode(image: Probe, sha256: str | None = None) -> tuple[Image.Image, ImageInfo]:
    """The upright RGB picture and its facts; `sha256` of the bytes where it is known already. Raises InvalidImage."""
    with refusing(image):
        pixels = jpeg_pixels(image)
        picture = rgb(image.file) if pixels is None else Image.fromarray(pixels.numpy())
        turn = UPRIGHT.get(orientation(image.file))
        upright = picture if turn is None else picture.transpose(turn)
    return upright, facts(image, upright.size, sha256)


@contextmanager
def refusing(image: Probe) -> Iterator[None]:
    """Around a decoder: whatever it raises is an InvalidImage."""
    try:
        yield
    except (MemoryError, InvalidImage):
        raise
    except Exception as error:
        raise InvalidImage(f"the {image.format.upper()} cannot be decoded: {_line(error)}") from error


def facts(image: Probe, size: tuple[int, int], sha256: str | None) -> ImageInfo:
    """`size` is width and height of the whole picture, upright."""
    width, height = size
    digest = sha256 or sha256_hex(image.data)
    return ImageInfo(sha256=digest, format=image.format, width=width, height=height, bytes=len(image.data))


def plain_jpeg(image: Probe) -> bool:
    """Whether it is a JPEG of grey or colour: libjpeg's ordinary case."""
    return image.format == "jpeg" and image.file.mode in {"L", "RGB"}


def check_scans(image: Probe) -> None:
    """Raises InvalidImage for a JPEG that would take absurdly long."""
    scans = sum(1 for _ in _SCAN.finditer(image.data))
    if scans > MOST_SCANS:
        raise InvalidImage(f"the JPEG has {scans:,} scans; at most {MOST_SCANS} are decoded")


def jpeg_pixels(image: Probe) -> Tensor | None:
    """uint8 [H, W, 3] by way of torchvision, or None where Pillow should have a look (CMYK, or torchvision refuses)."""
    if image.format == "jpeg":
        check_scans(image)
    if not plain_jpeg(image):
        return None
    try:
        encoded = torch.frombuffer(bytearray(image.data), dtype=torch.uint8)
        pixels: Tensor = decode_jpeg(encoded, mode=ImageReadMode.RGB).permute(1, 2, 0)
    except RuntimeError:
        return None
    height, width = pixels.shape[:2]
    if (width, height) != image.file.size:
        raise InvalidImage("the JPEG's header gives more than one size")
    return pixels


def rgb(file: ImageFile.ImageFile) -> Image.Image:
    """The picture as Pillow reads it."""
    file.load()
    if file.mode.startswith("I"):
        return Image.fromarray((np.asarray(file) >> 8).astype(np.uint8)).convert("RGB")
    # Which colour is see-through does not change the colours, but Pillow warns about it.
    file.info.pop("transparency", None)
    return file if file.mode == "RGB" else file.convert("RGB")


def orientation(file: ImageFile.ImageFile) -> int:
    """EXIF (or XMP) orientation, 1 to 8; 1 where it is missing or unreadable: the picture itself is fine."""
    try:
        value = file.getexif().get(ORIENTATION)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  (Pillow's EXIF reader fails in many ways, none of which is the picture's fault)
        return 1
    return value if isinstance(value, int) else 1


def _line(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:200]
