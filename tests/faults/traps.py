"""Places at which a process of ours dies or misbehaves, on purpose and once.

kill:before-score[:N]     kill:before-publish[:N]   kill:after-publish[:N]
kill:before-write[:N]     kill:after-write[:N]      kill:after-commit[:N]      SIGKILL at the N-th batch (1)
engine:raise-once[:N]     engine:nan-once[:N]       engine:hang[:N]            at the engine's N-th batch (1)
engine:oom-over:N         out of memory on every batch of more than N images
engine:kill-on:RRGGBB     SIGKILL when a batch holds a picture that is all of this colour
engine:slow:PATH          each image takes so many seconds longer as the file PATH says, while there is one
"""

import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from aiokafka import AIOKafkaConsumer
from torch import Tensor

import inference.core
from consumer.hops import Hops
from inference.core import InferenceCore
from inference.engine import Engine, never
from inference.preprocess import Preprocessing
from schemas.predictions import ModelInfo
from settings import InferenceSettings
from telemetry import Metrics

HOPS = ("before-score", "before-publish", "after-publish", "before-write", "after-write")
ENGINE = ("raise-once", "nan-once", "hang", "oom-over", "kill-on", "slow")
PROBE_LEVEL = 127
NEAR = 3
"""Levels by which a picture's pixels may differ from its colour: JPEG and the resize round."""


def set_trap(trap: str) -> None:
    """Set one of the traps above in this process. Raises ValueError for what is none."""
    kind, place, argument = (*trap.split(":"), "1", "1")[:3]
    if kind == "kill" and place in HOPS:
        _kill_around(trap, place, int(argument))
    elif kind == "kill" and place == "after-commit":
        _kill_after_commit(trap, int(argument))
    elif kind == "engine" and place in ENGINE:
        _wrap_engine(lambda engine: TrappedEngine(engine, trap))
    else:
        raise ValueError(f"STREAMSCORER_TRAP={trap}: no such trap")


class TrappedEngine:
    """An engine, and a trap in it. Passes the probe, which is no batch of anybody's."""

    def __init__(self, engine: Engine, trap: str) -> None:
        self.name = engine.name
        self.precision = engine.precision
        self.device = engine.device
        self.most = engine.most
        self.pauses = engine.pauses
        self._engine = engine
        self._trap = trap
        _, self._place, self._argument = (*trap.split(":"), "1")[:3]
        self._batches = 0

    def predict(self, batch: Tensor, pause: Callable[[], None] = never) -> Tensor:
        """See Engine.predict, and the traps."""
        if len(batch) == 1 and bool((batch == PROBE_LEVEL).all()):
            return self._engine.predict(batch)
        self._batches += 1
        match self._place:
            case "oom-over" if len(batch) > int(self._argument):
                raise torch.OutOfMemoryError(f"{self._trap}: {len(batch)} images")
            case "kill-on" if _holds(batch, bytes.fromhex(self._argument)):
                _die(self._trap)
            case "slow":
                with suppress(FileNotFoundError):
                    time.sleep(float(Path(self._argument).read_text(encoding="ascii")) * len(batch))
            case "raise-once" if self._due:
                _tell(self._trap)
                raise RuntimeError(self._trap)
            case "hang" if self._due:
                _tell(self._trap)
                threading.Event().wait()
            case "nan-once" if self._due:
                _tell(self._trap)
                return torch.full_like(self._engine.predict(batch, pause), float("nan"))
        return self._engine.predict(batch, pause)

    @property
    def _due(self) -> bool:
        return self._batches == int(self._argument)


def _kill_around(trap: str, place: str, number: int) -> None:
    moment, hop = place.split("-")
    original = getattr(Hops, hop)
    left = number

    async def trapped(self: Hops, batch: Any) -> None:
        nonlocal left
        left -= 1
        due = left == 0  # hops of several batches may overlap: each knows its own number
        if due and moment == "before":
            _die(trap)
        await original(self, batch)
        if due:
            _die(trap)

    _replace(Hops, hop, trapped)


def _kill_after_commit(trap: str, number: int) -> None:
    """After the first commit that was begun when N batches were written, and so covers the N-th."""
    write = Hops.write
    commit: Callable[..., Awaitable[None]] = AIOKafkaConsumer.commit
    written = 0

    async def counted(self: Hops, items: Any) -> None:
        nonlocal written
        await write(self, items)
        written += 1

    async def trapped(self: AIOKafkaConsumer, offsets: Any = None) -> None:
        due = written >= number
        await commit(self, offsets)
        if due:
            _die(trap)

    _replace(Hops, "write", counted)
    _replace(AIOKafkaConsumer, "commit", trapped)


def _wrap_engine(wrap: Callable[[Engine], Engine]) -> None:
    original = inference.core.run_core

    @asynccontextmanager
    async def run_core(
        info: ModelInfo, preprocessing: Preprocessing, engine: Engine, settings: InferenceSettings, metrics: Metrics
    ) -> AsyncIterator[InferenceCore]:
        async with original(info, preprocessing, wrap(engine), settings, metrics) as core:
            yield core

    _replace(inference.core, "run_core", run_core)


def _replace(owner: Any, name: str, value: Any) -> None:
    setattr(owner, name, value)


def _holds(batch: Tensor, colour: bytes) -> bool:
    wanted = torch.tensor(list(colour), dtype=torch.int16).view(1, 3, 1, 1)
    # One pixel tells of nearly every picture that it is another one.
    suspects = batch[((batch[:, :, :1, :1].to(torch.int16) - wanted).abs() <= NEAR).flatten(1).all(dim=1)]
    return bool(((suspects.to(torch.int16) - wanted).abs() <= NEAR).flatten(1).all(dim=1).any())


def _die(trap: str) -> None:
    _tell(trap)
    os.kill(os.getpid(), signal.SIGKILL)


def _tell(trap: str) -> None:
    sys.stderr.write(f"trap: {trap}\n")
    sys.stderr.flush()
