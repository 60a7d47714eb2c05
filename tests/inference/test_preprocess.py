"""Preprocessing: the same pixels as torchvision's transforms, bounded work for strange shapes, readable settings."""

import io
import time

import pytest
import torch
from PIL import Image
from torchvision.models import ResNet50_Weights

from errors import UsageError
from inference.preprocess import Preprocessing
from tests.checkpoints import sample_images
from tests.inference.pictures import photo
from tests.reference import reference_pixels


@pytest.mark.parametrize("name", sample_images())
def test_samples_give_exactly_the_reference_s_numbers(name: str) -> None:
    data = sample_images()[name]
    ours = Preprocessing()
    pixels = ours.pixels(Image.open(io.BytesIO(data)).convert("RGB"))
    assert (pixels.dtype, pixels.shape) == (torch.uint8, (3, 224, 224))
    assert torch.equal(ours.normalised(pixels.unsqueeze(0))[0], reference_pixels(data))


@pytest.mark.parametrize(
    "size",
    [
        (1, 1),
        (232, 232),
        (224, 224),
        (232, 500),
        (233, 231),
        (100, 799),
        (801, 101),
        (640, 427),
        (427, 640),
        (1999, 3001),
    ],
)
def test_any_ordinary_size_gives_exactly_torchvision_s_pixels(size: tuple[int, int]) -> None:
    picture = photo(*size)
    for weights, ours in (
        (ResNet50_Weights.IMAGENET1K_V2, Preprocessing()),
        (ResNet50_Weights.IMAGENET1K_V1, Preprocessing(resize=256)),
    ):
        expected = weights.transforms()(picture)
        assert torch.equal(ours.normalised(ours.pixels(picture).unsqueeze(0))[0], expected)


@pytest.mark.parametrize("size", [(10, 900), (900, 10), (3, 200)])
def test_elongated_pictures_differ_from_torchvision_by_at_most_a_level(size: tuple[int, int]) -> None:
    picture = photo(*size)
    expected = ResNet50_Weights.IMAGENET1K_V2.transforms()(picture)
    ours = Preprocessing()
    difference = (ours.normalised(ours.pixels(picture).unsqueeze(0))[0] - expected).abs()
    assert difference.max() < 1.01 / 255 / 0.224


@pytest.mark.parametrize("size", [(1, 50_000), (50_000, 1), (10_000, 10), (3, 2_000_000), (2_000_000, 25)])
def test_extremely_elongated_pictures_cost_no_more_than_others(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, (10, 200, 30))
    begun = time.perf_counter()
    pixels = Preprocessing().pixels(picture)
    assert time.perf_counter() - begun < 1  # the whole, resized, would have up to 36 gigapixels
    assert pixels.shape == (3, 224, 224)
    assert torch.equal(pixels[:, 0, 0], torch.tensor([10, 200, 30], dtype=torch.uint8))


def test_equal_resize_and_crop_takes_the_whole_short_side() -> None:
    assert Preprocessing(resize=224, crop=224).pixels(photo(31, 4001)).shape == (3, 224, 224)


def test_text_round_trip_and_defaults() -> None:
    default = Preprocessing()
    assert Preprocessing.parse(str(default), default) == default
    assert str(default) == "resize=232,crop=224,mean=0.485/0.456/0.406,std=0.229/0.224/0.225"
    assert Preprocessing.parse("resize=256, mean=0.5/0.5/0.5", default) == Preprocessing(256, 224, (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("resize=abc", "cannot read 'abc'"),
        ("size=3", "cannot read 'size=3'"),
        ("mean=1/2", "cannot read '1/2'"),
        ("std=0/1/1", "std above 0"),
        ("mean=nan/0/0", "mean must be"),
        ("resize=100", "crop <= resize"),
        ("crop=0", "1 <= crop"),
        ("resize=9999", "2048"),
        ("resize=1,resize=2", "cannot read 'resize=2'"),
    ],
)
def test_unreadable_preprocessing_is_a_usage_error_that_says_what(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as refusal:
        Preprocessing.parse(text, Preprocessing())
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value)
