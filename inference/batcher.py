"""The micro-batcher: a queue for each of two classes, and the one thread that feeds the engine.

Work-conserving: when the device is free it takes what is there. Interactive images go first and among themselves;
while their callers are around every batch is kept short, so that the next one does not wait long; the stream gets a
batch at least every `stream_wait_s`, whatever the interactive load.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

from torch import Tensor

from errors import Overloaded, UsageError
from inference.engine import Engine
from inference.isolation import Isolation, NotFinite
from inference.places import Places, Priority
from telemetry import Metrics, logger

ORIGIN = {"interactive": "http", "stream": "kafka"}
log = logger("inference")


class DeviceThreadDied(RuntimeError):
    """The thread that runs the engine ended; nothing can be scored until the process starts again. A bug."""


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How batches are formed."""

    max_batch: int = 32
    places: int = 128
    """Callers of one class that may be inside at a time, from before their decode to their answer."""
    short_batch_s: float = 0.25
    """What a batch may take while interactive callers are around."""
    stream_wait_s: float = 1.0
    """How long interactive batches may hold up the stream."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Probabilities of one image, float32 [C], and its seconds in the queue and in the engine."""

    probabilities: Tensor
    queue_s: float
    infer_s: float


@dataclass(slots=True, eq=False)
class _Work:
    pixels: Tensor
    priority: Priority
    answer: asyncio.Future[Answer]
    queued_at: float


class Batcher:
    """Callers hold a place (`place`) while they decode and ask (`predict`). Lives on one event loop."""

    def __init__(self, engine: Engine, policy: BatchPolicy, metrics: Metrics, probe: Tensor) -> None:
        """`probe` is an image [3, H, W] that the engine must always be able to score."""
        self._engine = engine
        self._policy = policy
        self._metrics = metrics
        self._isolation = Isolation(engine, probe, metrics)
        self._places = Places(policy.places, metrics)
        self._loop = asyncio.get_running_loop()
        self._ready = threading.Condition()
        self._queues: dict[Priority, deque[_Work]] = {"interactive": deque(), "stream": deque()}
        self._in_hand: list[_Work] = []
        self._stream_served = float("-inf")
        self._seconds_per_image = 0.0
        self._stopping = False
        self._death: BaseException | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Warm the engine up, run the device thread; at the end answer what is in hand and refuse what waits."""
        device = ThreadPoolExecutor(1, thread_name_prefix="device")
        try:
            await self._loop.run_in_executor(device, self._warm_up)
            life = self._loop.run_in_executor(device, self._serve)
            life.add_done_callback(self._ended)
            try:
                yield
            finally:
                with self._ready:
                    self._stopping = True
                    self._ready.notify()
                await asyncio.wait([life])
        finally:
            device.shutdown(wait=False)

    def trouble(self) -> str | None:
        """Why nothing can be scored, or None."""
        if self._death is not None:
            return f"the inference thread died: {self._death!r}"
        if self._stopping:
            return "the inference core is stopping"
        return self._isolation.trouble

    @asynccontextmanager
    async def place(self, priority: Priority) -> AsyncIterator[None]:
        """A place inside, see Places. Raises Overloaded (no place, or stopping)."""
        self._refuse_when_over()
        async with self._places.hold(priority, self._seconds_per_image):
            self._refuse_when_over()
            yield

    async def predict(self, pixels: Tensor, priority: Priority) -> Answer:
        """Score one image, uint8 or float32 [3, H, W]. Raises EngineRejected, Overloaded; a bug as itself."""
        self._refuse_when_over()
        work = _Work(pixels, priority, self._loop.create_future(), time.monotonic())
        queue = self._queues[priority]
        with self._ready:
            queue.append(work)
            self._metrics.queue_depth.labels(priority).set(len(queue))
            self._ready.notify()
        try:
            return await work.answer
        finally:
            if work.answer.cancelled():
                with self._ready:
                    if work in queue:
                        queue.remove(work)
                        self._metrics.queue_depth.labels(priority).set(len(queue))

    def _refuse_when_over(self) -> None:
        if self._death is not None:
            raise DeviceThreadDied("the inference thread died; see the log") from self._death
        if self._stopping:
            self._metrics.refused.labels("stopping").inc()
            raise Overloaded("the inference core is stopping")

    # On the device thread.

    def _warm_up(self) -> None:
        """The first pass allocates and compiles; the second one is typical, and the estimate starts from it."""
        try:
            self._isolation.check_probe()
        except NotFinite as error:
            raise UsageError(
                f"the model answers NaN on engine {self._engine.name}, precision {self._engine.precision}: "
                "choose another SCORER_PRECISION, or check SCORER_WEIGHTS"
            ) from error
        started = time.perf_counter()
        self._isolation.check_probe()
        self._seconds_per_image = time.perf_counter() - started

    def _serve(self) -> None:
        while works := self._take():
            self._in_hand = works
            started, begun = time.monotonic(), time.perf_counter()
            outcomes = self._isolation.answers([work.pixels for work in works])
            infer_s = time.perf_counter() - begun
            self._seconds_per_image += 0.3 * (infer_s / len(works) - self._seconds_per_image)
            settled: list[tuple[_Work, Answer | Exception]] = []
            for work, outcome in zip(works, outcomes, strict=True):
                queue_s = started - work.queued_at
                self._metrics.queue_seconds.labels(work.priority).observe(queue_s)
                if isinstance(outcome, Tensor):
                    self._metrics.images.labels(ORIGIN[work.priority], self._engine.name).inc()
                settled.append((work, Answer(outcome, queue_s, infer_s) if isinstance(outcome, Tensor) else outcome))
            self._in_hand = []
            self._loop.call_soon_threadsafe(_settle, settled)

    def _take(self) -> list[_Work]:
        """The next batch, all of one class, waiting for it; empty when it is time to stop."""
        with self._ready:
            while not self._stopping:
                now = time.monotonic()
                queue, most = self._choose(now), self._batch_size(now)
                works: list[_Work] = []
                while queue and len(works) < most:
                    work = queue.popleft()
                    if not work.answer.done():
                        works.append(work)
                if works:
                    self._metrics.queue_depth.labels(works[0].priority).set(len(queue))
                    return works
                if not any(self._queues.values()):
                    self._ready.wait()
        return []

    def _choose(self, now: float) -> deque[_Work]:
        interactive, stream = self._queues["interactive"], self._queues["stream"]
        if not stream:
            return interactive
        waited_s = now - max(stream[0].queued_at, self._stream_served)
        if interactive and waited_s < self._policy.stream_wait_s:
            return interactive
        self._stream_served = now
        return stream

    def _batch_size(self, now: float) -> int:
        most = min(self._policy.max_batch, self._isolation.fits)
        if self._seconds_per_image <= 0 or not self._places.interactive_around(now):
            return most
        return max(1, min(most, int(self._policy.short_batch_s / self._seconds_per_image)))

    # On the event loop.

    def _ended(self, life: asyncio.Future[None]) -> None:
        """The device thread is over, on purpose or not: whoever still waits is told."""
        self._death = life.exception()
        reason: Exception
        if self._death is not None:
            log.error("the inference thread died", error=repr(self._death), exc_info=self._death)
            reason = DeviceThreadDied("the inference thread died; see the log")
            reason.__cause__ = self._death
        else:
            reason = Overloaded("the inference core is stopping")
        with self._ready:
            waiting = [*self._in_hand, *self._queues["interactive"], *self._queues["stream"]]
            for queue in self._queues.values():
                queue.clear()
        _settle([(work, reason) for work in waiting])


def _settle(outcomes: list[tuple[_Work, Answer | Exception]]) -> None:
    for work, outcome in outcomes:
        if work.answer.done():
            continue
        if isinstance(outcome, Answer):
            work.answer.set_result(outcome)
        else:
            work.answer.set_exception(outcome)
