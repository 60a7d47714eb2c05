"""Encoded pictures of every kind that is read, made from the sample photos."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from tests.checkpoints import sample_images


def photo(width: int = 97, height: int = 61) -> Image.Image:
    """A small photo without symmetry, RGB."""
    whole = Image.open(io.BytesIO(sample_images()["temple.jpg"]))
    return whole.resize((width, height), Image.Resampling.LANCZOS)


def encode(picture: Image.Image, format_: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, format_, **options)
    return out.getvalue()


def variants() -> dict[str, bytes]:
    """Pictures for which Pillow's own conversion to RGB is right."""
    rgb = photo()
    grey, other = rgb.convert("L"), rgb.rotate(90, expand=False)
    rgba = rgb.copy()
    rgba.putalpha(grey)
    grey_alpha = Image.merge("LA", (grey, grey.rotate(180)))
    palette = rgb.quantize(64)
    return {
        "jpeg": encode(rgb, "JPEG"),
        "jpeg 4:4:4": encode(rgb, "JPEG", subsampling=0),
        "jpeg 4:2:2": encode(rgb, "JPEG", subsampling=1),
        "jpeg progressive": encode(rgb, "JPEG", progressive=True),
        "jpeg grey": encode(grey, "JPEG"),
        "jpeg cmyk": encode(rgb.convert("CMYK"), "JPEG"),
        "jpeg stored as rgb": encode(rgb, "JPEG", keep_rgb=True),
        "jpeg multi-picture": encode(rgb, "MPO", save_all=True, append_images=[other]),
        "png": encode(rgb, "PNG"),
        "png grey": encode(grey, "PNG"),
        "png alpha": encode(rgba, "PNG"),
        "png grey alpha": encode(grey_alpha, "PNG"),
        "png palette": encode(palette, "PNG"),
        "png palette, 4 bits": encode(rgb.quantize(16), "PNG", bits=4),
        "png palette, one colour see-through": encode(palette, "PNG", transparency=3),
        "png palette, many see-through": encode(palette, "PNG", transparency=bytes(range(64))),
        "png black and white": encode(grey.convert("1"), "PNG"),
        "png grey, one see-through": encode(grey, "PNG", transparency=100),
        "png colour, one see-through": encode(rgb, "PNG", transparency=(1, 2, 3)),
        "apng": encode(rgb, "PNG", save_all=True, append_images=[other]),
        "webp": encode(rgb, "WEBP"),
        "webp lossless": encode(rgb, "WEBP", lossless=True),
        "webp alpha": encode(rgba, "WEBP"),
        "webp animated": encode(rgb, "WEBP", save_all=True, append_images=[other]),
        "gif": encode(rgb, "GIF"),
        "gif grey": encode(grey, "GIF"),
        "gif see-through": encode(palette, "GIF", transparency=3),
        "gif animated": encode(rgb, "GIF", save_all=True, append_images=[other]),
        "bmp": encode(rgb, "BMP"),
        "bmp grey": encode(grey, "BMP"),
        "bmp palette": encode(palette, "BMP"),
        "bmp black and white": encode(grey.convert("1"), "BMP"),
        "bmp alpha": encode(rgba, "BMP"),
    }


def png(width: int, height: int, colour_type: int, rows: bytes = b"", bits: int = 8) -> bytes:
    """A PNG put together by hand: `rows` are the filtered scan lines; too few make a bomb."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def png_16_bit(samples: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]) -> bytes:
    """uint16 [H, W] (grey), [H, W, 2] (grey, alpha), [H, W, 3] (colour) or [H, W, 4] to a PNG of 16 bits."""
    height, width, channels = samples.shape if samples.ndim == 3 else (*samples.shape, 1)
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    lines = samples.astype(">u2").reshape(height, -1)
    return png(width, height, colour_type, b"".join(b"\0" + line.tobytes() for line in lines), bits=16)


def webp_header(width: int, height: int) -> bytes:
    """An extended WebP that claims a canvas and holds nothing."""
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4) + canvas
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
