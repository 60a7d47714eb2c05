"""Threads that decode: interactive images ahead of the stream's, and never too many pixels in memory at once."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from errors import Overloaded
from inference.cores import usable_cores
from inference.decode import Limits, probe
from inference.places import Priority
from inference.preprocess import Preprocessing
from inference.reading import Read
from schemas.predictions import ImageInfo
from settings import InferenceSettings
from telemetry import Metrics

SPARE = 1
"""Decodes of the stream that may wait in the pool, so that no thread idles: no more stand before a request."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The model's input, uint8 [3, crop, crop], the image's facts, and the seconds it took."""

    pixels: Tensor
    image: ImageInfo
    seconds: float


class DecodePool:
    """One thread a core. Lives on one event loop."""

    def __init__(self, settings: InferenceSettings, preprocessing: Preprocessing, read: Read, metrics: Metrics) -> None:
        self._workers = usable_cores()
        self._executor = ThreadPoolExecutor(self._workers, thread_name_prefix="decode")
        self._limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
        self._budget = PixelBudget(2 * settings.max_image_pixels)
        self._read = read
        self._preprocessing = preprocessing
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._outstanding: dict[Priority, int] = {"interactive": 0, "stream": 0}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closing = False

    async def decode(self, data: bytes, priority: Priority) -> Decoded:
        """Raises InvalidImage, UnsupportedImage, ImageTooLarge, Overloaded (stopping). Drops callers that left."""
        if priority == "stream":
            await self._turn()
        else:
            self._outstanding[priority] += 1
        if self._closing:
            self._finished(priority)
            raise Overloaded("the inference core is stopping")
        job = self._executor.submit(self._work, data)

        def done(_: Future[Decoded]) -> None:
            self._loop.call_soon_threadsafe(self._finished, priority)

        job.add_done_callback(done)
        return await asyncio.wrap_future(job)

    async def close(self) -> None:
        """Refuse who waits, finish what runs."""
        self._closing = True
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(Overloaded("the inference core is stopping"))
        await asyncio.to_thread(self._executor.shutdown)

    async def _turn(self) -> None:
        """Wait until the stream may hand another image to the pool, in order of arrival."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(waiter)
        self._admit()
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._finished("stream")
            raise

    def _admit(self) -> None:
        """One decode of the stream always; more while threads would idle."""
        while self._waiting:
            stream = self._outstanding["stream"]
            if stream and stream + self._outstanding["interactive"] >= self._workers + SPARE:
                return
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._outstanding["stream"] += 1
                waiter.set_result(None)

    def _finished(self, priority: Priority) -> None:
        self._outstanding[priority] -= 1
        self._admit()

    def _work(self, data: bytes) -> Decoded:
        """On a thread of the pool."""
        begun = time.perf_counter()
        image = probe(data, self._limits)
        with self._budget.hold(image.pixels):
            pixels, facts = self._read(image, self._preprocessing, None)
        seconds = time.perf_counter() - begun
        self._metrics.decode_seconds.observe(seconds)
        return Decoded(pixels, facts, seconds)


class PixelBudget:
    """Pixels that may be decoded at once, over all threads; one picture always may."""

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._held = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait until they fit."""
        with self._changed:
            self._changed.wait_for(lambda: self._held == 0 or self._held + pixels <= self._pixels)
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()
