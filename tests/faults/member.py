"""`python -m tests.faults.member`: the consumer role over a cheap engine, with a trap in it where one is set.

STREAMSCORER_ENGINE: `fake` (real decoding, real preprocessing, answers from mean colours) or `real`.
STREAMSCORER_TRAP: see traps.py. All else is the command `streamscorer consumer`, with its SCORER_ variables.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import inference.core
from cli import main as command
from cli import roles
from inference.core import InferenceCore
from inference.fake_engine import FakeEngine
from inference.preprocess import Preprocessing
from schemas.predictions import ModelInfo
from settings import InferenceSettings
from telemetry import Metrics
from tests.faults.traps import set_trap

FAKE_VERSION = "fake-000000000001"
CLASSES = 1000
OPENERS = {"real": inference.core.open_core}


@asynccontextmanager
async def open_fake_core(settings: InferenceSettings, metrics: Metrics) -> AsyncIterator[InferenceCore]:
    """The core over the fake engine: the same answers in every process."""
    preprocessing, engine = Preprocessing(), FakeEngine(CLASSES)
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


def main() -> None:
    """Run until a signal; exit codes are those of the command."""
    if trap := os.environ.get("STREAMSCORER_TRAP"):
        set_trap(trap)
    if os.environ.get("STREAMSCORER_ENGINE", "fake") == "fake":
        vars(roles)["open_core"] = open_fake_core
    command.main(["consumer"])


if __name__ == "__main__":
    main()
