"""Decoding: equal to Pillow for every kind of picture, upright, within limits, and Invalid for any other bytes."""

import contextlib
import hashlib
import io
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from errors import ImageTooLarge, InvalidImage, UnsupportedImage
from inference.decode import Limits, decode, probe
from schemas.predictions import ImageInfo
from tests.checkpoints import sample_images
from tests.inference.pictures import encode, photo, png, png_16_bit, variants, webp_header

LIMITS = Limits(bytes=8 * 1024 * 1024, pixels=50_000_000)
VARIANTS = variants()
Pixels = np.ndarray[tuple[int, ...], np.dtype[np.int16]]


def decoded(data: bytes, limits: Limits = LIMITS) -> tuple[Pixels, ImageInfo]:
    picture, info = decode(probe(data, limits))
    assert picture.mode == "RGB"
    return np.asarray(picture).astype(np.int16), info


def by_pillow(data: bytes) -> Pixels:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")).astype(np.int16)


@pytest.mark.filterwarnings("ignore:Palette images with Transparency:UserWarning")
@pytest.mark.parametrize("kind", VARIANTS)
def test_every_kind_of_picture_decodes_as_pillow_does(kind: str) -> None:
    data = VARIANTS[kind]
    pixels, info = decoded(data)
    assert np.array_equal(pixels, by_pillow(data))
    assert (info.format, info.width, info.height, info.bytes) == (
        "png" if kind == "apng" else kind.partition(" ")[0],
        97,
        61,
        len(data),
    )


@pytest.mark.parametrize("name", sample_images())
def test_sample_photos_decode_as_pillow_does(name: str) -> None:
    data = sample_images()[name]
    assert np.array_equal(decoded(data)[0], by_pillow(data))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_png_keeps_the_upper_eight_bits(channels: int) -> None:
    generator = np.random.default_rng(0)
    samples = generator.integers(0, 1 << 16, (19, 23, channels), dtype=np.uint16)
    pixels, info = decoded(png_16_bit(samples[:, :, 0] if channels == 1 else samples))
    colour = samples[:, :, :3] if channels > 2 else samples[:, :, :1]
    assert np.array_equal(pixels, np.broadcast_to(colour >> 8, (19, 23, 3)))
    assert info.format == "png"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_honoured(format_: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photo(), format_, exif=exif)
    pixels, info = decoded(data)
    assert np.array_equal(pixels, by_pillow(data))
    assert (info.width, info.height) == ((97, 61) if orientation < 5 else (61, 97))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0MM\0*\0\0\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"]
)
def test_broken_exif_does_not_spoil_the_picture(exif: bytes) -> None:
    assert np.array_equal(decoded(encode(photo(), "JPEG", exif=exif))[0], by_pillow(encode(photo(), "JPEG")))


def test_facts_name_the_bytes() -> None:
    dot = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
    digest = hashlib.sha256(dot).hexdigest()
    assert decoded(dot)[1] == ImageInfo(sha256=digest, format="gif", width=1, height=1, bytes=len(dot))


@pytest.mark.parametrize("kind", VARIANTS)
def test_bytes_after_the_image_are_accepted(kind: str) -> None:
    data = VARIANTS[kind]
    assert np.array_equal(decoded(data + b"\r\n--trailer--" * 50)[0], decoded(data)[0])


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6])
def test_truncated_image_is_invalid(kind: str, share: float) -> None:
    # Of an animation the first frame is what counts, so it has to be cut there.
    data = VARIANTS[kind]
    first_frame = len(VARIANTS[kind.partition(" ")[0]]) if "animated" in kind else len(data)
    if kind in {"apng", "jpeg multi-picture"}:
        first_frame //= 2
    with pytest.raises(InvalidImage):
        decoded(data[: int(share * min(first_frame, len(data)))])


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"II*\0" + bytes(40), "TIFF"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\0\0\0\x1cftypheic" + bytes(40), "HEIC"),
        (b"\0\0\0\x1cftypavif" + bytes(40), "AVIF"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"hello, this is no picture", "text"),
        (b"BMW is a car and this is text", "text"),
        (b"\x01\x02\x03\x04\x05\x06\x07\x08\x09", "01 02 03 04 05 06 07 08"),
    ],
)
def test_other_formats_are_unsupported_and_named(data: bytes, seen: str) -> None:
    with pytest.raises(UnsupportedImage, match=seen) as refusal:
        decoded(data)
    assert "JPEG, PNG, WebP, GIF or BMP" in str(refusal.value)


def test_no_bytes_are_invalid_but_not_unsupported() -> None:
    with pytest.raises(InvalidImage, match="0 bytes") as refusal:
        decoded(b"")
    assert not isinstance(refusal.value, UnsupportedImage)


def test_too_many_bytes_are_refused_with_both_figures() -> None:
    data = VARIANTS["jpeg"]
    with pytest.raises(ImageTooLarge, match=f"{len(data):,} bytes; at most 1,000"):
        decoded(data, Limits(bytes=1000, pixels=10**9))
    decoded(data, Limits(bytes=len(data), pixels=10**9))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "webp alpha", "webp lossless", "gif", "bmp"])
def test_too_many_pixels_are_refused_with_both_figures(kind: str) -> None:
    with pytest.raises(ImageTooLarge, match="97 x 61 = 5,917 pixels; at most 5,916"):
        decoded(VARIANTS[kind], Limits(bytes=10**6, pixels=5916))
    decoded(VARIANTS[kind], Limits(bytes=10**6, pixels=5917))


@pytest.mark.parametrize(
    ("bomb", "figures"),
    [
        (png(50_000, 50_000, 2), "50,000 x 50,000 = 2,500,000,000"),
        (webp_header(50_000, 50_000), "50,000 x 50,000"),
        (b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\2D\1\0;", "65,535 x 65,535"),
        (b"BM" + bytes(12) + (40).to_bytes(4, "little") + (60_000).to_bytes(4, "little") * 2
         + b"\1\0\x18\0" + bytes(24), "60,000 x 60,000"),
        (VARIANTS["jpeg"].replace(b"\x08\x00\x3d\x00\x61", b"\x08\xff\xff\xff\xff"), "65,535 x 65,535"),
    ],
    ids=["png", "webp", "gif", "bmp", "jpeg"],
)  # fmt: skip
def test_a_bomb_is_refused_by_its_header_alone(bomb: bytes, figures: str) -> None:
    tracemalloc.start()
    begun = time.perf_counter()
    with pytest.raises(ImageTooLarge, match=figures):
        decoded(bomb)
    assert time.perf_counter() - begun < 5
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_jpeg_with_absurdly_many_scans_is_refused() -> None:
    data = VARIANTS["jpeg progressive"]
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    assert decoded(data[:-2] + 20 * last_scan + data[-2:])[1].format == "jpeg"
    with pytest.raises(InvalidImage, match="scans"):
        decoded(data[:-2] + 300 * last_scan + data[-2:])
    # A motion photo carries a film behind the picture; its bytes are no scans.
    assert decoded(VARIANTS["jpeg"] + b"\xff\xda\x93\x11" * 10_000)[1].format == "jpeg"


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::Warning:PIL")
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bytes_give_a_picture_or_an_invalid_image(data: st.DataObject) -> None:
    image = bytearray(VARIANTS[data.draw(st.sampled_from(sorted(VARIANTS)))])
    for _ in range(data.draw(st.integers(1, 6))):
        # Headers are where decoders go wrong, so most changes are made there.
        at = data.draw(st.one_of(st.integers(0, 80), st.integers(0, len(image))))
        image[at : at + data.draw(st.sampled_from([0, 1, 1, 1, 4, 200]))] = data.draw(st.binary(min_size=0, max_size=6))
    with contextlib.suppress(InvalidImage, ImageTooLarge):
        picture, info = decode(probe(bytes(image), Limits(bytes=10**6, pixels=2_000_000)))
        assert picture.mode == "RGB"
        assert picture.size == (info.width, info.height)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM"]))
def test_arbitrary_bytes_are_refused(tail: bytes, magic: bytes) -> None:
    with pytest.raises((InvalidImage, ImageTooLarge)):
        decoded(magic + tail)
