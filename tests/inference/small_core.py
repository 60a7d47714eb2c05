"""A core over small pictures and the fake engine, whose batches a test can hold and look at."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from inference.core import InferenceCore, run_core
from inference.fake_engine import FakeEngine
from inference.preprocess import Preprocessing
from inference.works import Priority
from schemas.predictions import ModelInfo, Prediction
from settings import InferenceSettings
from telemetry import Metrics
from tests.waiting import eventually

SIDE = 8
PROBE = torch.full((3, SIDE, SIDE), 127, dtype=torch.uint8)
CLASSES = 40
HELD = 60_000
_ENDLESS = {"short_batch_s": 1e6, "long_batch_s": 1e6}
INFO = ModelInfo(
    model_version="fake-0", name="fake", weights="none", weights_sha256="0" * 64, preprocessing="none",
    labels=tuple(f"label {number}" for number in range(CLASSES)), engine="fake", precision="fp32", device="cpu",
)  # fmt: skip


def pixels(number: int) -> Tensor:
    """uint8 [3, 8, 8] of its own colours; `number`, below 65,536, can be read back from its first pixels."""
    made = torch.randint(0, 256, (3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(number))
    made[0, 0, 0], made[0, 0, 1] = number % 256, number // 256
    return made


def number_of(pixels: Tensor) -> int:
    """What `pixels` was given."""
    return int(pixels[0, 0, 0]) + 256 * int(pixels[0, 0, 1])


def image(number: int) -> bytes:
    """A file that is decoded to exactly these pixels."""
    file = io.BytesIO()
    Image.fromarray(pixels(number).permute(1, 2, 0).numpy()).save(file, "PNG")
    return file.getvalue()


@dataclass
class Device:
    """What the engine of a test saw and does: `gate` holds it, `act` may raise on a batch."""

    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    batches: list[list[int]] = field(default_factory=list)
    act: Callable[[Tensor], None] = lambda _: None

    def __call__(self, batch: Tensor) -> None:
        if len(batch) == 1 and torch.equal(batch[0], PROBE):
            self.act(batch)
            return
        self.batches.append([number_of(pixels) for pixels in batch])
        self.entered.set()
        assert self.gate.wait(30)
        self.act(batch)


@asynccontextmanager
async def running(
    device: Device, *, max_batch: int = 32, places: int = 128, cache_entries: int = 0, pauses: int = 0, **policy: Any
) -> AsyncIterator[InferenceCore]:
    """The core; `pauses`: of the engine; `policy`: fields of BatchPolicy. At the end the device is let go.

    Unless the policy says otherwise, no batch is held small for its duration: how fast this machine is does not matter.
    """
    settings = InferenceSettings(max_batch=max_batch, cache_entries=cache_entries)
    engine = FakeEngine(CLASSES, before=device, pauses=pauses)
    async with run_core(INFO, Preprocessing(resize=SIDE, crop=SIDE), engine, settings, Metrics()) as core:
        core._batcher._policy = replace(core._batcher._policy, **(_ENDLESS | {"few": max_batch} | policy))
        core._places._most = places
        try:
            yield core
        finally:
            device.gate.set()


async def ask(core: InferenceCore, number: int, priority: Priority = "interactive") -> Prediction:
    return await core.score(image(number), priority, top_k=CLASSES)


async def decoded(core: InferenceCore, count: int, priority: Priority = "stream") -> None:
    """Wait until so many images wait for the device."""
    await eventually(lambda: len(core._line._decoded[priority]) == count)


def answers(prediction: Prediction, number: int) -> bool:
    """Whether this is the answer for that image."""
    expected = FakeEngine(CLASSES).predict(pixels(number).unsqueeze(0))[0]
    return all(abs(entry.probability - float(expected[entry.class_id])) < 1e-5 for entry in prediction.top)


def counted(core: InferenceCore, result: str) -> float:
    return core._metrics.registry.get_sample_value("scorer_result_cache_total", {"result": result}) or 0.0


def order_of(*tasks: asyncio.Task[Any]) -> list[int]:
    """Their places, to be filled in the order in which they end."""
    ended: list[int] = []

    def append(place: int, _: object) -> None:
        ended.append(place)

    for place, task in enumerate(tasks):
        task.add_done_callback(partial(append, place))
    return ended


async def score_backlog(core: InferenceCore, device: Device, count: int, *, ahead: int) -> list[Prediction]:
    """The answers for so many images of the stream, `ahead` of which are decoded before the device takes the first."""
    held = await hold_device(core, device)
    tasks = [asyncio.create_task(ask(core, number, "stream")) for number in range(count)]
    await decoded(core, ahead)
    device.gate.set()
    await held
    return await asyncio.gather(*tasks)


async def hold_device(core: InferenceCore, device: Device, priority: Priority = "stream") -> asyncio.Task[Prediction]:
    """Let the device thread hang in a batch of one, so that what comes next queues up."""
    device.gate.clear()
    device.entered.clear()
    task = asyncio.create_task(ask(core, HELD, priority))
    await eventually(device.entered.is_set)
    return task
