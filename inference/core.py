"""The one way to score an image: encoded bytes in, `Prediction` out, for requests and for the stream alike."""

import asyncio
import math
import time
import warnings
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import torch

from errors import Invalid, Overloaded
from inference.batcher import Batcher
from inference.choice import open_engine
from inference.decode_pool import Decoder
from inference.engine import Engine
from inference.isolation import Isolation
from inference.line import Line
from inference.model import load_model
from inference.places import Places
from inference.policy import BatchPolicy
from inference.preprocess import Preprocessing
from inference.reading import reader
from inference.result_cache import ResultCache
from inference.results import Results
from inference.threads import died, serving
from inference.torch_threads import compute_with
from inference.works import PRIORITIES, Call, Priority, Waiter, Work
from schemas.predictions import ModelInfo, Prediction
from settings import InferenceSettings
from telemetry import TRACED, Metrics, logger

__all__ = ["InferenceCore", "Priority", "open_core", "run_core"]
log = logger("inference")


class InferenceCore:
    """Decode threads, micro-batcher, engine and result cache behind two doors. Made by `open_core`.

    1. `score` and `score_all` put encoded images into the `Line`;
    2. a decode thread (`Decoder`) looks for the same bytes among what is known and under way, and decodes the rest;
    3. the device thread (`Batcher`) takes them in batches;
    4. `Results` tell the callers, on the event loop.
    """

    def __init__(
        self,
        info: ModelInfo,
        preprocessing: Preprocessing,
        engine: Engine,
        settings: InferenceSettings,
        metrics: Metrics,
    ) -> None:
        self.info = info
        self._top_k = settings.top_k
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._line = Line()
        cache = ResultCache(settings.cache_entries)
        self._results = Results(info, cache, self._line, metrics)
        read = reader(settings.decode, info.precision)
        self._decoder = Decoder(settings, preprocessing, read, self._line, self._results)
        probe = torch.full((3, preprocessing.crop, preprocessing.crop), 127, dtype=torch.uint8)
        self._isolation = Isolation(engine, probe, metrics)
        policy = BatchPolicy(max_batch=settings.max_batch, top_k=settings.top_k)
        self._batcher = Batcher(self._isolation, policy, self._line, self._results, metrics)
        self._places = Places(max(64, 4 * settings.max_batch), self._batcher.wait_s, metrics)
        self._batcher.around = self._places.around
        self._over: str | None = None

    async def score(
        self, image: bytes, priority: Priority, *, top_k: int | None = None, deadline_s: float = math.inf
    ) -> Prediction:
        """The model's answer for one encoded image.

        `top_k` is how many classes are listed (default SCORER_TOP_K; at most all). Interactive callers go first; they
        are refused (Overloaded) at once when too many wait or the answer is not to be expected within `deadline_s`,
        and later when it has not come by then. Stream callers wait.
        Raises InvalidImage, UnsupportedImage, ImageTooLarge, EngineRejected, Overloaded; a bug propagates as itself.
        """
        if priority == "stream":
            (outcome,) = await self._ask([image], priority, top_k)
        else:
            self._check_open()
            with self._places.hold(deadline_s):
                try:
                    async with asyncio.timeout(None if math.isinf(deadline_s) else deadline_s):
                        (outcome,) = await self._ask([image], priority, top_k)
                except TimeoutError:
                    self._metrics.refused.labels("deadline").inc()
                    raise Overloaded(
                        f"there was no answer within {deadline_s:g} s", retry_after_s=self._batcher.wait_s(1)
                    ) from None
        if isinstance(outcome, Invalid):
            raise outcome
        return outcome

    async def score_all(
        self, images: Sequence[bytes], digests: Sequence[str | None] | None = None
    ) -> list[Prediction | Invalid]:
        """The stream's door: one outcome for each image, in order; a bad image fails alone. A bug propagates.

        `digests`: SHA-256 of each image, lower hex, where the caller has it already.
        """
        return await self._ask(images, "stream", None, digests) if images else []

    def trouble(self) -> str | None:
        """None while images can be scored, else why not, in words."""
        over = self._line.over
        return str(over) if over is not None else self._isolation.trouble

    async def _ask(
        self,
        images: Sequence[bytes],
        priority: Priority,
        top_k: int | None,
        digests: Sequence[str | None] | None = None,
    ) -> list[Prediction | Invalid]:
        top_k = top_k or self._top_k
        call = Call(self._loop.create_future(), [None] * len(images), len(images), top_k, TRACED.get())
        now = time.perf_counter()
        self._check_open()
        known = digests or [None] * len(images)
        works = [
            Work(image, priority, [Waiter(call, place, now)], digest)
            for place, (image, digest) in enumerate(zip(images, known, strict=True))
        ]
        self._line.submit(works, priority)
        try:
            await call.over
        finally:
            if call.left:
                self._line.drop_unwanted(priority, self._results.abandon)
        return [outcome for outcome in call.outcomes if outcome is not None]

    def _check_open(self) -> None:
        """Raises Overloaded when the core is stopping, InferenceThreadDied when it is dead."""
        if (over := self._line.over) is not None:
            if isinstance(over, Overloaded):
                self._metrics.refused.labels("stopping").inc()
            raise type(over)(*over.args) from over

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Warm up and serve. Who still waits at the end is refused with Overloaded; what runs is answered."""
        threads = self._decoder.threads
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._batcher.running(partial(self._ended, "the device thread")))
            for priority in PRIORITIES:
                decode = partial(self._decoder.serve, priority)
                ended = partial(self._ended, "a decode thread")
                await stack.enter_async_context(serving(f"decode-{priority}", threads, decode, ended))
            for priority in PRIORITIES:
                self._metrics.queue_depth.labels(priority).set_function(partial(self._line.depth, priority))
            try:
                yield
            finally:
                self._close(Overloaded("the inference core is stopping"))

    def _ended(self, who: str, death: BaseException | None) -> None:
        """A thread is over, on purpose or not: whoever still waits is told."""
        if death is not None:
            log.error("a thread of the inference core died", thread=who, error=repr(death), exc_info=death)
            self._close(died(who, death))

    def _close(self, reason: Exception) -> None:
        self._results.finish([(work, reason) for work in self._line.close(reason)])


@asynccontextmanager
async def open_core(settings: InferenceSettings, metrics: Metrics) -> AsyncIterator[InferenceCore]:
    """Load what the settings name, warm it up, and close it at the end. Raises UsageError, WeightsUnreachable."""
    # In a thread that ends: the pool of threads that torch may have made for it ends as well.
    loader = ThreadPoolExecutor(1, thread_name_prefix="load")
    try:
        info, preprocessing, engine = await asyncio.get_running_loop().run_in_executor(loader, _load, settings)
    finally:
        loader.shutdown(wait=False)
    async with run_core(info, preprocessing, engine, settings, metrics) as core:
        yield core


def _load(settings: InferenceSettings) -> tuple[ModelInfo, Preprocessing, Engine]:
    """What outlives the model, whose network (100 MB) not every engine goes on using."""
    model = load_model(settings)
    engine = open_engine(model, settings)
    return model.info(engine.name, engine.precision, engine.device), model.preprocessing, engine


@asynccontextmanager
async def run_core(
    info: ModelInfo, preprocessing: Preprocessing, engine: Engine, settings: InferenceSettings, metrics: Metrics
) -> AsyncIterator[InferenceCore]:
    """A core over an engine that is there already. Who still waits at the end is refused with Overloaded."""
    # Pillow remarks on odd metadata of pictures that it reads all the same; that is nobody's concern here.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    compute_with(1)
    begun = time.perf_counter()
    core = InferenceCore(info, preprocessing, engine, settings, metrics)
    async with core.running():
        metrics.model_info.labels(info.model_version, info.engine, info.precision, info.device, info.weights).set(1)
        log.info(
            "the model is ready",
            model_version=info.model_version,
            engine=info.engine,
            precision=info.precision,
            device=info.device,
            warm_up_s=round(time.perf_counter() - begun, 2),
        )
        yield core
