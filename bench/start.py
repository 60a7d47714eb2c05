"""From nothing to readiness: seconds of each role, and where they go.

Cold is with an empty cache folder of ours: the engine is chosen and converted anew. What the system itself keeps in
memory of files cannot be dropped without its administrator, so the first of the warm starts is not counted.
"""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.cases import Case, Context, Result, Skipped
from bench.metrics import exported

PHOTO = Path(__file__).resolve().parent.parent / "samples" / "cat.png"
_LOOK_S = 0.02
_READY_S = 120.0


async def run(context: Context) -> AsyncGenerator[Result | Skipped, None]:
    """Every process is started for one figure and stopped again."""
    ground = await context.ground()
    room = await ground.room()
    with TemporaryDirectory(dir=context.directory) as empty:
        cold, engine = await _stages(context, {**room, "cache_dir": empty})
    yield Result("cold: to the engine's first answer", engine, "s", (sum(cold.values()),), raw=_raw([cold]))
    warm = [(await _stages(context, room))[0] for _ in range(1 + context.repetitions)][1:]
    for name in warm[0]:
        yield Result(f"stage: {name}", engine, "s", tuple(one[name] for one in warm))
    for role in ("consumer", "api", "all"):
        ours = {**room, **({"health_port": 0} if role == "consumer" else {"port": 0})}
        figures = [await _ready(context, role, ours) for _ in range(context.repetitions)]
        yield Result(f"{role}: ready", figures[0][1], "s", tuple(figure for figure, _ in figures))
    answers = tuple([await _first_answer(context) for _ in range(context.repetitions)])
    yield Result("predict: first answer", engine, "s", answers)


async def _stages(context: Context, settings: dict[str, Any]) -> tuple[dict[str, float], str]:
    child = await context.child("bench.stages", str(time.time()), settings=settings)
    said: dict[str, Any] = json.loads(await child.line("{"))
    await child.stop()
    engine = str(said.pop("engine"))
    return said, engine


async def _ready(context: Context, role: str, settings: dict[str, Any]) -> tuple[float, str]:
    """Seconds until /readyz says so, for the consumer with partitions in its hands; and the engine."""
    begun = time.monotonic()
    child = await context.child("cli.main", role, settings=settings)
    url = await child.line("http://")
    async with asyncio.timeout(_READY_S):
        while not await asyncio.to_thread(_is_ready, url):
            child.check()
            await asyncio.sleep(_LOOK_S)
    took = time.monotonic() - begun
    engine = (await exported(url)).engine()
    await child.stop()
    return took, engine


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
        return False


async def _first_answer(context: Context) -> float:
    begun = time.monotonic()
    child = await context.child("cli.main", "predict", "--json", str(PHOTO))
    await child.line("{")
    took = time.monotonic() - begun
    await child.stop()
    return took


def _raw(stages: list[dict[str, float]]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(one[name] for one in stages) for name in stages[0]}


CASE = Case("start", "seconds to readiness, and where they go", run)
