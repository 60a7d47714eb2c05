"""Real pictures for the generator: seeded crops and scales of the samples, and what an offline run says of each."""

import hashlib
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from inference.decode import Limits, decode, probe
from inference.fake_engine import FakeEngine
from inference.preprocess import Preprocessing
from tests.checkpoints import sample_images
from tests.faults.history import Answer

_LARGE_SHARE = 0.02
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Picture:
    """One encoded picture."""

    data: bytes
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> "Picture":
        return cls(data, hashlib.sha256(data).hexdigest())


def make_pool(count: int, seed: int) -> list[Picture]:
    """`count` pictures, no two alike: JPEG of 5 to 40 KB mostly, some PNG and WebP, a few large ones."""
    choose = random.Random(seed)
    photos = [Image.open(io.BytesIO(image)).convert("RGB") for image in sample_images().values()]
    found: dict[str, Picture] = {}
    while len(found) < count:
        picture = Picture.of(_encoded(choose, choose.choice(photos)))
        found[picture.sha256] = picture
    return list(found.values())


def _encoded(choose: random.Random, photo: Image.Image) -> bytes:
    large = choose.random() < _LARGE_SHARE
    side = min(photo.size) if large else choose.randint(min(120, *photo.size), min(photo.size))
    left, top = choose.randint(0, photo.width - side), choose.randint(0, photo.height - side)
    target = 1400 if large else choose.randint(160, 400)
    picture = photo.crop((left, top, left + side, top + side)).resize((target, target * choose.randint(7, 10) // 10))
    kind = choose.choices(("JPEG", "PNG", "WEBP"), (88, 5, 7))[0]
    if kind == "PNG":
        picture = picture.resize((96, 96))
    file = io.BytesIO()
    picture.save(file, kind, quality=choose.randint(70, 93))
    return file.getvalue()


def offline_answers(pool: Sequence[Picture]) -> dict[str, Answer]:
    """Class and probability of each picture by its sha256, from the fake engine without any service around it."""
    engine, preprocessing, limits = FakeEngine(), Preprocessing(), Limits(1 << 23, 50_000_000)
    answers: dict[str, Answer] = {}
    for number in range(0, len(pool), _AT_ONCE):
        some = pool[number : number + _AT_ONCE]
        pixels = [preprocessing.pixels(decode(probe(picture.data, limits))[0]) for picture in some]
        best = engine.predict(torch.stack(pixels)).max(dim=1)
        for picture, class_id, probability in zip(some, best.indices.tolist(), best.values.tolist(), strict=True):
            answers[picture.sha256] = class_id, probability
    return answers
