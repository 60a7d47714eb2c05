"""Tell an image by its first bytes: enough to know that it is one, never that it can be decoded."""

READ_BY_CORE = frozenset({"jpeg", "png", "webp", "gif", "bmp"})
"""Formats that the core decodes. The others are recognised so that it, not the envelope, turns them down by name."""

_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_MAGIC = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG", "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"\x00\x00\x00\x0cjP  ", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"\x00\x00\x00\x0cJXL ", "jpegxl"),
    (b"\xff\x0a", "jpegxl"),
    (b"8BPS", "psd"),
    (b"qoif", "qoi"),
    (b"\x76\x2f\x31\x01", "exr"),
    (b"<svg", "svg"),
)


def image_format(data: bytes) -> str | None:
    """Name of the image format that `data` begins like (jpeg, png, webp, gif, bmp, tiff, avif, ...), or None."""
    if data[:4] == b"RIFF":
        return "webp" if data[8:12] == b"WEBP" else None
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        return "avif" if brand in (b"avif", b"avis") else "heic" if brand in _HEIF_BRANDS else None
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    return "svg" if data.startswith(b"<?xml") and b"<svg" in data[:1024] else None
