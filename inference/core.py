"""The one way to score an image: encoded bytes in, `Prediction` out, for requests and for the stream alike."""

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import torch

from errors import Invalid
from inference.batcher import Answer, Batcher, BatchPolicy
from inference.choice import open_engine
from inference.decode_pool import Decoded, DecodePool
from inference.engine import Engine
from inference.model import load_model
from inference.places import Priority
from inference.preprocess import Preprocessing
from schemas.predictions import ClassProbability, ModelInfo, Prediction, Timings
from settings import InferenceSettings
from telemetry import Metrics, logger

__all__ = ["InferenceCore", "Priority", "open_core", "run_core"]
log = logger("inference")


class InferenceCore:
    """Decode pool, micro-batcher and engine behind one method. Made by `open_core`."""

    def __init__(
        self, info: ModelInfo, pool: DecodePool, batcher: Batcher, settings: InferenceSettings, metrics: Metrics
    ) -> None:
        self.info = info
        self._pool = pool
        self._batcher = batcher
        self._top_k = settings.top_k
        self._metrics = metrics

    async def score(self, image: bytes, priority: Priority, *, top_k: int | None = None) -> Prediction:
        """The model's answer for one encoded image.

        `top_k` is how many classes are listed (default SCORER_TOP_K; at most all). Interactive callers go first, and
        are refused at once (Overloaded) when too many wait; stream callers wait for a place.
        Raises InvalidImage, UnsupportedImage, ImageTooLarge, EngineRejected, Overloaded; a bug propagates as itself.
        """
        begun = time.perf_counter()
        try:
            async with self._batcher.place(priority):
                decoded = await self._pool.decode(image, priority)
                answer = await self._batcher.predict(decoded.pixels, priority)
        except Invalid as refusal:
            self._metrics.refused.labels(refusal.reason).inc()
            raise
        return self._prediction(decoded, answer, top_k or self._top_k, begun)

    async def score_all(self, images: Sequence[bytes]) -> list[Prediction | Invalid]:
        """The stream's door: one outcome for each image, in order; a bad image fails alone. A bug propagates."""

        async def one(image: bytes) -> Prediction | Invalid:
            try:
                return await self.score(image, "stream")
            except Invalid as refusal:
                return refusal

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(image)) for image in images]
        return [task.result() for task in tasks]

    def trouble(self) -> str | None:
        """None while images can be scored, else why not, in words."""
        return self._batcher.trouble()

    def _prediction(self, decoded: Decoded, answer: Answer, top_k: int, begun: float) -> Prediction:
        labels = self.info.labels
        best = answer.probabilities.topk(min(top_k, len(labels)))
        top = tuple(
            ClassProbability(class_id=class_id, label=labels[class_id], probability=probability)
            for class_id, probability in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        )
        self._metrics.top1.observe(top[0].probability)
        return Prediction(
            predicted_class=top[0].class_id,
            label=top[0].label,
            probability=top[0].probability,
            top=top,
            model_version=self.info.model_version,
            engine=self.info.engine,
            precision=self.info.precision,
            image=decoded.image,
            timings_ms=Timings(
                decode=_ms(decoded.seconds),
                queue=_ms(answer.queue_s),
                infer=_ms(answer.infer_s),
                total=_ms(time.perf_counter() - begun),
            ),
        )


@asynccontextmanager
async def open_core(settings: InferenceSettings, metrics: Metrics) -> AsyncIterator[InferenceCore]:
    """Load what the settings name, warm it up, and close it at the end. Raises UsageError, WeightsUnreachable."""
    model = await asyncio.to_thread(load_model, settings)
    engine = await asyncio.to_thread(open_engine, model, settings)
    info = model.info(engine.name, engine.precision, engine.device)
    async with run_core(info, model.preprocessing, engine, settings, metrics) as core:
        yield core


@asynccontextmanager
async def run_core(
    info: ModelInfo, preprocessing: Preprocessing, engine: Engine, settings: InferenceSettings, metrics: Metrics
) -> AsyncIterator[InferenceCore]:
    """A core over an engine that is there already. Who still waits at the end is refused with Overloaded."""
    # Pillow remarks on odd metadata of pictures that it reads all the same; that is nobody's concern here.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    probe = torch.full((3, preprocessing.crop, preprocessing.crop), 127, dtype=torch.uint8)
    policy = BatchPolicy(max_batch=settings.max_batch, places=max(64, 4 * settings.max_batch))
    begun = time.perf_counter()
    batcher = Batcher(engine, policy, metrics, probe)
    pool = DecodePool(settings, preprocessing, metrics)
    try:
        async with batcher.running():
            metrics.model_info.labels(info.model_version, info.engine, info.precision, info.device, info.weights).set(1)
            log.info(
                "the model is ready",
                model_version=info.model_version,
                engine=info.engine,
                precision=info.precision,
                device=info.device,
                warm_up_s=round(time.perf_counter() - begun, 2),
            )
            yield InferenceCore(info, pool, batcher, settings, metrics)
    finally:
        await pool.close()


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
