"""Threads that decode: those of the stream apart from the others, and never too many pixels in memory at once."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from inference.cores import usable_cores
from inference.decode import Limits, probe
from inference.line import Line
from inference.preprocess import Preprocessing
from inference.reading import Read
from inference.results import Results
from inference.threads import died
from inference.torch_threads import compute_with
from inference.works import Priority, Work
from schemas.digests import sha256_hex
from settings import InferenceSettings


class Decoder:
    """What a decode thread does with an image, by class: `serve` until the line is closed."""

    def __init__(
        self, settings: InferenceSettings, preprocessing: Preprocessing, read: Read, line: Line, results: Results
    ) -> None:
        self.threads = usable_cores()
        """Of each class."""
        self._limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
        self._budget = PixelBudget(2 * settings.max_image_pixels)
        self._read = read
        self._preprocessing = preprocessing
        self._line = line
        self._results = results
        self._share = settings.cache_entries > 0

    def serve(self, priority: Priority) -> None:
        compute_with(1)
        while (work := self._line.take_encoded(priority)) is not None:
            ready: Work | None = None
            try:
                ready = work if self._decode(work) else None
            except Exception as failure:  # noqa: BLE001  (the caller gets it, whatever it is)
                self._results.finish([(work, failure)])
            except BaseException as death:
                self._results.finish([(work, died("a decode thread", death))])
                raise
            finally:
                over = self._line.put_decoded(ready, priority)
            if ready is not None and over is not None:
                self._results.finish([(ready, over)])

    def _decode(self, work: Work) -> bool:
        """Whether there is something for the device. Raises InvalidImage, UnsupportedImage, ImageTooLarge."""
        if not work.wanted:
            return False
        data = work.image
        self._limits.check_bytes(len(data))
        begun = time.perf_counter()
        digest = work.digest = work.digest or sha256_hex(data)
        if self._share and not self._results.claim(work, digest):
            return False
        image = probe(data, self._limits)
        with self._budget.hold(image.pixels):
            work.pixels, work.facts = self._read(image, self._preprocessing, digest)
        work.image = b""
        work.decoded_at = time.perf_counter()
        work.decode_s = work.decoded_at - begun
        return True


class PixelBudget:
    """Pixels that may be decoded at once, over all threads; one picture always may."""

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._held = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait until they fit. As many are given back, whatever became of the picture (some are read smaller)."""
        with self._changed:
            while self._held and self._held + pixels > self._pixels:
                self._changed.wait()
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()
