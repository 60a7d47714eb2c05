"""A core that answers at once, and the consumer around it: for measuring everything but the model."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from broker.publisher import open_publisher
from broker.topics import inspect
from consumer.hops import Parts
from consumer.worker import Worker
from errors import Invalid
from schemas.digests import sha256_hex
from schemas.predictions import ClassProbability, ImageInfo, ModelInfo, Prediction, Timings
from settings import Settings
from sources.fetcher import open_fetcher
from store.store import open_store
from telemetry import Metrics

VERSION = "instant-000000000001"
_LABELS = tuple(f"class {number}" for number in range(1000))
_TOP = tuple(
    ClassProbability(class_id=number, label=_LABELS[number], probability=0.5 / (number + 1)) for number in range(5)
)
_TIMINGS = Timings(decode=0.0, queue=0.0, infer=0.0, total=0.0)


class InstantCore:
    """What the consumer asks of an InferenceCore. No picture is opened: answers are made up, their digests are real."""

    def __init__(self) -> None:
        self.info = ModelInfo(
            model_version=VERSION,
            name="instant",
            weights="none",
            weights_sha256="0" * 64,
            preprocessing="none",
            labels=_LABELS,
            engine="instant",
            precision="fp32",
            device="cpu",
        )

    async def score_all(
        self, images: Sequence[bytes], digests: Sequence[str | None] | None = None
    ) -> list[Prediction | Invalid]:
        """One answer for each image, in order. Made in a thread, as the core's are."""
        known = digests or [None] * len(images)
        return await asyncio.to_thread(lambda: list(map(self._prediction, images, known)))

    def trouble(self) -> str | None:
        """Never any."""
        return None

    def _prediction(self, image: bytes, digest: str | None) -> Prediction:
        return Prediction(
            predicted_class=_TOP[0].class_id,
            label=_TOP[0].label,
            probability=_TOP[0].probability,
            top=_TOP,
            model_version=VERSION,
            engine=self.info.engine,
            precision=self.info.precision,
            image=ImageInfo(
                sha256=digest or sha256_hex(image),
                format="jpeg",
                width=640,
                height=480,
                bytes=len(image),
            ),
            timings_ms=_TIMINGS,
        )


@asynccontextmanager
async def instant_worker(
    settings: Settings, metrics: Metrics, core: InstantCore | None = None
) -> AsyncIterator[Worker]:
    """A consumer that is not running yet, with every room but the model's; `core`: another one of this kind."""
    async with (
        open_store(settings, metrics, start_timeout_s=30) as store,
        open_publisher(settings) as publisher,
        open_fetcher(settings) as fetcher,
    ):
        parts = Parts(core or InstantCore(), store, publisher, fetcher, metrics)
        yield Worker(settings, parts, await inspect(settings, [settings.kafka_topic, settings.kafka_dlq_topic]))
