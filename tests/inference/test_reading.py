"""The fast ways to the model's input: the same files refused, the same facts, and pixels and scores hardly moved."""

import hashlib
import io
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torchvision.models import resnet50

from errors import ImageTooLarge, InvalidImage
from inference.decode import Limits, probe
from inference.preprocess import Preprocessing, stack
from inference.reading import Read, read_exactly, read_fast, read_shrunk, reader
from schemas.predictions import ImageInfo
from tests.checkpoints import sample_images
from tests.inference.pictures import encode, photo, variants

LIMITS = Limits(bytes=8 * 1024 * 1024, pixels=50_000_000)
IMAGENET = Preprocessing()
SMALL = Preprocessing(resize=16, crop=14)
"""Under this one pictures of 97 x 61 are small and those of 130 x 101 large enough to be shrunk."""
VARIANTS = variants()
LARGE = {
    "jpeg": encode(photo(130, 101), "JPEG"),
    "jpeg progressive": encode(photo(130, 101), "JPEG", progressive=True),
    "jpeg grey": encode(photo(130, 101).convert("L"), "JPEG"),
    "jpeg cmyk": encode(photo(130, 101).convert("CMYK"), "JPEG"),
}


def read(way: Read, data: bytes, preprocessing: Preprocessing = IMAGENET) -> tuple[Tensor, ImageInfo]:
    pixels, info = way(probe(data, LIMITS), preprocessing, None)
    assert (pixels.dtype, pixels.shape) == (torch.uint8, (3, preprocessing.crop, preprocessing.crop))
    return pixels, info


def levels_apart(data: bytes, preprocessing: Preprocessing = IMAGENET) -> Tensor:
    """How far fast is from exact, in levels of 255. The facts must be the same."""
    (exact, facts), (fast, same_facts) = (read(way, data, preprocessing) for way in (read_exactly, read_fast))
    assert same_facts == facts
    return (exact.int() - fast.int()).abs().float()


def large_photo(name: str, width: int, height: int, **options: object) -> bytes:
    """A sample tiled, not enlarged: as sharp as a small photo is, which large ones seldom are."""
    tile = Image.open(io.BytesIO(sample_images()[name])).convert("RGB")
    whole = Image.new("RGB", (width, height))
    for top in range(0, height, tile.height):
        for left in range(0, width, tile.width):
            whole.paste(tile, (left, top))
    return encode(whole, "JPEG", quality=90, **options)


@pytest.mark.parametrize("name", sample_images())
def test_photos_that_are_not_shrunk_differ_by_at_most_a_level_in_few_places(name: str) -> None:
    apart = levels_apart(sample_images()[name])
    assert apart.max() <= 1
    assert apart.mean() < 0.005


@pytest.mark.parametrize("size", [(4000, 3000), (2001, 1503), (1499, 3001)])
def test_shrunk_photos_differ_by_little(size: tuple[int, int]) -> None:
    for name in ("temple.jpg", "coffee.webp"):
        apart = levels_apart(large_photo(name, *size))
        assert 0.01 < apart.mean() < 0.5, "0: it was not shrunk"
        assert apart.max() <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(130, 101), (129, 107), (97, 61)])
def test_a_turned_picture_is_upright_and_in_its_place(size: tuple[int, int], orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    apart = levels_apart(encode(photo(*size), "JPEG", exif=exif, quality=95), SMALL)
    assert apart.mean() < (0.02 if size == (97, 61) else 0.8)


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.filterwarnings("ignore:Palette images with Transparency:UserWarning")
def test_every_kind_of_picture_is_read_alike(kind: str) -> None:
    assert levels_apart(VARIANTS[kind]).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (232, 232), (300, 232), (10, 900), (900, 10), (3, 200), (1, 64), (65, 1)])
def test_any_shape_is_read_alike(size: tuple[int, int]) -> None:
    assert levels_apart(encode(photo(*size), "JPEG")).max() <= 1


def verdict(way: Read, data: bytes) -> type[Exception] | ImageInfo:
    try:
        return way(probe(data, LIMITS), SMALL, None)[1]
    except (InvalidImage, ImageTooLarge) as refusal:
        return type(refusal)


@pytest.mark.parametrize("kind", LARGE)
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_truncated_jpeg_is_refused_though_it_would_be_shrunk(kind: str, share: float) -> None:
    cut = LARGE[kind][: int(share * len(LARGE[kind]))]
    assert [verdict(way, cut) for way in (read_exactly, read_shrunk, read_fast)] == [InvalidImage] * 3


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::Warning:PIL")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_fast_and_exact_refuse_the_same_files(data: st.DataObject) -> None:
    image = bytearray(LARGE[data.draw(st.sampled_from(sorted(LARGE)))])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.one_of(st.integers(0, 700), st.integers(0, len(image))))
        image[at : at + data.draw(st.sampled_from([0, 1, 1, 4, 200]))] = data.draw(st.binary(max_size=6))
    assert len({verdict(way, bytes(image)) for way in (read_exactly, read_shrunk, read_fast)}) == 1


def test_absurdly_many_scans_are_refused_though_the_picture_would_be_shrunk() -> None:
    data = LARGE["jpeg progressive"]
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(InvalidImage, match="scans"):
        read(read_fast, data[:-2] + 300 * last_scan + data[-2:], SMALL)


def test_at_fp32_only_large_jpegs_differ_from_the_reference() -> None:
    assert reader("exact", "int8") is read_exactly
    fp32, bf16 = reader("fast", "fp32"), reader("fast", "bf16")
    for data in [*sample_images().values(), LARGE["jpeg cmyk"]]:
        assert torch.equal(read(fp32, data)[0], read(read_exactly, data)[0])
    large = LARGE["jpeg"]
    assert torch.equal(read(fp32, large, SMALL)[0], read(bf16, large, SMALL)[0])
    assert not torch.equal(read(fp32, large, SMALL)[0], read(read_exactly, large, SMALL)[0])


def test_a_digest_that_is_known_is_not_computed_again() -> None:
    for way in (read_exactly, read_shrunk, read_fast):
        for data in (LARGE["jpeg"], VARIANTS["png"]):
            assert way(probe(data, LIMITS), SMALL, "known")[1].sha256 == "known"
            assert read(way, data, SMALL)[1].sha256 == hashlib.sha256(data).hexdigest()


def test_a_batch_has_its_channels_last_without_being_turned_round() -> None:
    pixels = [read(way, data)[0] for data in (VARIANTS["jpeg"], VARIANTS["png"]) for way in (read_exactly, read_fast)]
    assert all(image.stride(0) == 1 for image in pixels)
    batch = stack(pixels)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch, torch.stack(pixels))


def test_scores_of_shrunk_photos_move_by_little(checkpoint: Path) -> None:
    # The checkpoint is far more sensitive than a trained one: a level in one value of a thousand moves it by 1e-3.
    weights = torch.load(checkpoint, weights_only=True)
    model = resnet50()
    model.load_state_dict(weights)
    photos = [large_photo(name, 2000, 1500) for name in ("temple.jpg", "flower.jpg", "rocket.jpg", "cat.png")]
    with torch.inference_mode():
        exact, fast = (
            model.eval()(IMAGENET.normalised(stack([read(way, data)[0] for data in photos]))).softmax(dim=1)
            for way in (read_exactly, read_fast)
        )
    assert torch.equal(exact.argmax(dim=1), fast.argmax(dim=1))
    assert 1e-5 < (exact - fast).abs().max() < 0.05
