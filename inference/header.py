"""Which format some bytes are, and how large a canvas a WebP claims: the first look, before any decoder."""

import struct
from typing import Literal

from errors import InvalidImage, UnsupportedImage

Format = Literal["jpeg", "png", "webp", "gif", "bmp"]
BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})

_OTHERS = (
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\1\0", "ICO"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"PK\3\4", "a ZIP archive"),
    (b"\x1f\x8b", "gzip"),
    (b"\x1aE\xdf\xa3", "Matroska or WebM video"),
)
_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"hevc": "HEIC",
    b"mif1": "HEIF",
    b"msf1": "HEIF",
}


def sniff(data: bytes) -> Format:
    """The format that the first bytes announce. Raises InvalidImage (no bytes), UnsupportedImage."""
    if not data:
        raise InvalidImage("the image is empty: it has 0 bytes")
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data.startswith(b"BM") and data[14:15] and int.from_bytes(data[14:18], "little") in BMP_HEADER_SIZES:
        return "bmp"
    raise UnsupportedImage(f"this is {_seen(data)}; images are read as JPEG, PNG, WebP, GIF or BMP")


def webp_canvas(data: bytes) -> tuple[int, int]:
    """Width and height that a WebP claims (RFC 9649, chunks VP8, VP8L, VP8X). Raises InvalidImage.

    Needed because Pillow makes room for the canvas as soon as it opens one.
    """
    chunk, body = data[12:16], data[20:30]
    if len(body) == 10 and chunk == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if len(body) == 10 and chunk == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    if len(body) >= 5 and chunk == b"VP8L" and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    raise InvalidImage("the image says it is WebP, but its header cannot be read")


def _seen(data: bytes) -> str:
    for magic, name in _OTHERS:
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "an MP4-like file")
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] == b"<":
        return "SVG" if b"<svg" in data[:4096].lower() else "HTML or XML"
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n" for byte in data[:64])
    if printable == len(data[:64]):
        return "text"
    return f"no image format that is known here (it begins with {data[:8].hex(' ')})"
