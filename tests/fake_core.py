"""The inference core over the fake engine: real decoding, batching, preprocessing; the same answers everywhere."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from torch import Tensor

import inference.core
from inference.core import InferenceCore
from inference.fake_engine import FakeEngine
from inference.preprocess import Preprocessing
from schemas.predictions import ModelInfo
from settings import InferenceSettings
from telemetry import Metrics

FAKE_VERSION = "fake-000000000001"
CLASSES = 1000
PAUSES = 3


@asynccontextmanager
async def open_fake_core(
    settings: InferenceSettings, metrics: Metrics, before: Callable[[Tensor], None] | None = None
) -> AsyncIterator[InferenceCore]:
    """In the place of `open_core`. `before`: see FakeEngine."""
    preprocessing, engine = Preprocessing(), FakeEngine(CLASSES, before, pauses=PAUSES)
    info = ModelInfo(
        model_version=FAKE_VERSION,
        name="fake",
        weights="fake",
        weights_sha256="0" * 64,
        preprocessing=str(preprocessing),
        labels=tuple(f"class {number}" for number in range(CLASSES)),
        engine=engine.name,
        precision=engine.precision,
        device=engine.device,
    )
    # By the module's name: a trap may stand in its place.
    async with inference.core.run_core(info, preprocessing, engine, settings, metrics) as core:
        yield core
