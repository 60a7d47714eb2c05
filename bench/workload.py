"""Real JPEGs of many sizes: seeded crops, scalings and flips of the bundled photos, no two alike."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
from PIL import Image

from errors import UsageError
from inference.cores import usable_cores
from schemas.image_formats import READ_BY_CORE, image_format

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
SIZES_KB = (
    (0.35, 10, 40),
    (0.35, 40, 100),
    (0.24, 100, 250),
    (0.05, 250, 700),
    (0.009, 700, 2000),
    (0.001, 2000, 7500),
)
"""Share of the images, and between which sizes they lie: a mean of about 110 KB, as photos on the web have."""
_VERSION = 1
_TAKEN = 1_000_000
"""Above every number that a caller of `read` gives to a round."""
_KB = 1000
_BYTES_A_PIXEL = 0.3
_NEAR_ENOUGH = 0.8, 1.25
_ATTEMPTS = 4


class Workload:
    """Images by number: the same seed and number give the same image; kept on disk, made once."""

    def __init__(self, directory: Path, seed: int, own: Path | None = None) -> None:
        """`own`: a folder of the user's pictures, taken instead."""
        self._own = own
        self._seed = seed
        self._taken = 0
        self.directory = own or directory / f"images-{_VERSION}-{seed}"

    def paths(self, count: int) -> list[Path]:
        """`count` files; of the user's own as many as there are. Blocks while they are made."""
        if self._own is not None:
            return _pictures(self._own)[:count]
        self.directory.mkdir(parents=True, exist_ok=True)
        paths = [self.directory / f"{number:06}.jpg" for number in range(count)]
        missing = [number for number, path in enumerate(paths) if not path.exists()]
        with ThreadPoolExecutor(usable_cores()) as pool:
            list(pool.map(lambda number: _keep(paths[number], make(self._seed, number)), missing))
        return paths

    def read(self, count: int, round_number: int = 0) -> list[bytes]:
        """`count` encoded images, none alike, and none like those of another `round_number`."""
        images = [path.read_bytes() for path in self.paths(count)]
        return [fresh(images[n % len(images)], round_number * 1_000_000 + n) for n in range(count)]

    def take(self, count: int) -> list[bytes]:
        """The next `count`: none like any that was taken or read before."""
        self._taken += 1
        return self.read(count, _TAKEN + self._taken)


def fresh(image: bytes, number: int) -> bytes:
    """The same picture as other bytes: what follows an image's end is read by nobody, but has a digest."""
    return image + number.to_bytes(8, "big")


def make(seed: int, number: int, *, kilobytes: float | None = None) -> bytes:
    """The image of this number, as JPEG; `kilobytes` asks for a size instead of one that the mix gives."""
    random = np.random.default_rng((seed, number))
    wanted = kilobytes * _KB if kilobytes is not None else _size(random)
    photos = _photos()
    photo = photos[int(random.integers(len(photos)))]
    width, height = (int(side * random.uniform(0.5, 1.0)) for side in photo.size)
    left, top = int(random.integers(photo.width - width + 1)), int(random.integers(photo.height - height + 1))
    cropped = photo.crop((left, top, left + width, top + height))
    if random.random() < 0.5:
        cropped = cropped.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    quality, noise, grain = int(random.integers(75, 93)), random.uniform(1, 4), int(random.integers(1 << 32))
    side = (wanted / _BYTES_A_PIXEL / (width * height)) ** 0.5
    for _ in range(_ATTEMPTS):
        data = _encode(cropped.resize((max(32, int(width * side)), max(32, int(height * side)))), noise, quality, grain)
        if _NEAR_ENOUGH[0] < len(data) / wanted < _NEAR_ENOUGH[1]:
            break
        side *= (wanted / len(data)) ** 0.5
    return data


def _size(random: np.random.Generator) -> float:
    """Bytes, as the mix has them."""
    shares = [share for share, _, _ in SIZES_KB]
    _, least, most = SIZES_KB[int(random.choice(len(SIZES_KB), p=shares))]
    return float(np.exp(random.uniform(np.log(least), np.log(most)))) * _KB


def _encode(picture: Image.Image, noise: float, quality: int, grain: int) -> bytes:
    """A camera's noise keeps a picture that was scaled up from shrinking to nothing."""
    pixels = np.asarray(picture, dtype=np.int16)
    # Noise of a few levels, as bytes: much cheaper than a normal distribution, and nobody can tell.
    bits = np.random.default_rng(grain).integers(0, 256, pixels.shape, dtype=np.uint8)
    noisy = pixels + ((bits.astype(np.int16) - 128) * int(noise * 4) >> 8)
    data = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(data, "jpeg", quality=quality)
    return data.getvalue()


@cache
def _photos() -> tuple[Image.Image, ...]:
    return tuple(Image.open(path).convert("RGB") for path in _pictures(SAMPLES))


def _pictures(folder: Path) -> list[Path]:
    """Raises UsageError when there is none."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            if image_format(file.read(64)) in READ_BY_CORE:
                found.append(path)
    if not found:
        raise UsageError(f"{folder}: no pictures")
    return found


def _keep(path: Path, data: bytes) -> None:
    """Whole or not at all: another run may be making the same."""
    with NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    os.replace(file.name, path)  # noqa: PTH105  (Path.replace, spelt for a name)
