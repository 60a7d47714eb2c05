"""Any number of different real pictures: seeded crops of the sample photos."""

import io
import random
from collections.abc import Iterator

from PIL import Image

from tests.checkpoints import sample_images


def pictures(count: int, *, seed: int = 1, size: int = 96) -> Iterator[bytes]:
    """`count` JPEGs of size x size pixels, no two alike."""
    choose = random.Random(seed)
    photos = [Image.open(io.BytesIO(image)).convert("RGB") for image in sample_images().values()]
    for number in range(count):
        photo = photos[number % len(photos)]
        side = choose.randint(size, min(photo.size))
        left, top = choose.randint(0, photo.width - side), choose.randint(0, photo.height - side)
        crop = photo.crop((left, top, left + side, top + side)).resize((size, size))
        # No two alike, also where the crops are.
        crop.putpixel((0, 0), (number % 256, number // 256 % 256, choose.randrange(256)))
        file = io.BytesIO()
        crop.save(file, "JPEG", quality=90)
        yield file.getvalue()
