"""`python -m tests.lag.drains [REPORT.json]`: the ETA half way through real drains, against when each was really done.

A real broker, a real database, our consumer with an engine of settable speed, and the watcher as `monitor` runs it.
All drains go on at the same time: they mostly sleep.
"""

import asyncio
import json
import statistics
import sys
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from aiokafka import AIOKafkaProducer
from platformdirs import user_cache_path

from bench.instant_core import InstantCore, instant_worker
from broker.groups import open_groups
from broker.offsets import open_offsets
from broker.topics import create_topics
from embedded.jars import fetch_jars
from embedded.kafka import run_kafka
from embedded.postgres import run_postgres
from errors import Invalid, ScorerError
from monitor.watcher import Watcher
from schemas.lag import LagReport
from schemas.predictions import Prediction
from settings import Settings
from store.migrations import migrate
from telemetry import Metrics, configure_logging
from tests.kafka_tools import publish
from tests.lag.shapes import Pace, Shape, shapes

PARTITIONS = 4
GOAL = 0.2
LONGEST_S = 240.0
_TICK_S = 0.1
_NOTHING = 1e-6
"""Of an image: what rounding leaves over."""
_LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Drained:
    """One drain, and what was said half way. Seconds."""

    shape: str
    took_s: float
    left_s: float
    """How long it really took from there."""
    eta_s: float | None
    low_s: float | None
    high_s: float | None

    @property
    def error(self) -> float:
        """Relative to the truth; of no answer 1."""
        return 1.0 if self.eta_s is None else abs(self.eta_s - self.left_s) / self.left_s

    @property
    def within(self) -> bool:
        return self.low_s is not None and self.low_s <= self.left_s <= (self.high_s or float("inf"))


class PacedCore(InstantCore):
    """Takes one batch at a time, and as long for it as the pace says."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace
        self._busy = asyncio.Lock()
        self._began: float | None = None

    async def score_all(
        self, images: Sequence[bytes], digests: Sequence[str | None] | None = None
    ) -> list[Prediction | Invalid]:
        """See InstantCore."""
        async with self._busy:
            self._began = self._began or time.monotonic()
            left, at = float(len(images)), time.monotonic()
            while left > _NOTHING:
                pace = self._pace(at - self._began)
                step = min(_TICK_S, left / pace if pace else _TICK_S)
                left, at = left - pace * step, at + step
                await asyncio.sleep(at - time.monotonic())
        return await super().score_all(images, digests)


async def drained(settings: Settings, shape: Shape) -> Drained:
    """Publish the backlog, consume it at the shape's pace, and compare. Raises TimeoutError."""
    name = f"drain-{uuid.uuid4().hex[:8]}"
    names = {"kafka_topic": name, "kafka_dlq_topic": f"{name}.dlq", "kafka_group_id": name}
    mine = settings.model_copy(update=names)
    await create_topics(mine, max_image_bytes=2**20, partitions=PARTITIONS)
    servers = str(mine.kafka_bootstrap_servers)
    await publish(servers, name, [(_picture(number), []) for number in range(shape.backlog)])
    async with open_offsets(mine, name) as offsets:
        await offsets.move(dict.fromkeys(range(PARTITIONS), 0), "")
    reports: list[LagReport] = []
    async with asyncio.timeout(LONGEST_S), _at_work(mine, shape), _watched(mine, reports):
        begin, end = await _truth(mine, shape)
    half = begin + (end - begin) / 2
    said = next((report for report in reversed(reports) if report.at.timestamp() <= half), None)
    assert said is not None, f"{shape.name}: nothing was said in {half - begin:.0f} s"
    left = end - said.at.timestamp()
    return Drained(shape.name, end - begin, left, said.eta_s, said.eta_low_s, said.eta_high_s)


@asynccontextmanager
async def _at_work(settings: Settings, shape: Shape) -> AsyncIterator[None]:
    """A consumer of ours and a producer."""
    async with instant_worker(settings, Metrics(), PacedCore(shape.consumes)) as worker:
        working = asyncio.create_task(worker.run(), name=f"work {shape.name}")
        feeding = asyncio.create_task(_feed(settings, shape.publishes), name=f"feed {shape.name}")
        try:
            yield
        finally:
            feeding.cancel()
            worker.stop()
            await asyncio.gather(feeding, return_exceptions=True)
            await working


async def _feed(settings: Settings, pace: Pace) -> None:
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers) as producer:
        began = at = time.monotonic()
        due, sent = 0.0, 0
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            due, at = due + pace(now - began) * (now - at), now
            while sent < int(due):
                await producer.send(settings.kafka_topic, _picture(sent), partition=sent % PARTITIONS)
                sent += 1


@asynccontextmanager
async def _watched(settings: Settings, reports: list[LagReport]) -> AsyncIterator[None]:
    watcher = Watcher(settings)

    async def note() -> None:
        while True:
            await watcher.looked()
            with suppress(ScorerError):
                reports.append(watcher.report())

    tasks = [asyncio.create_task(watcher.run()), asyncio.create_task(note())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _truth(settings: Settings, shape: Shape) -> tuple[float, float]:
    """When the first record was committed; and when less waited than is published in a second."""
    began = None
    async with open_groups(settings) as groups:
        while True:
            sample = await groups.look(settings.kafka_group_id, [settings.kafka_topic])
            done = sum(found.committed or 0 for found in sample.partitions)
            waits = sum(found.end for found in sample.partitions) - done
            began = began or (sample.at if done else None)
            if began is not None and waits <= shape.publishes(sample.at - began):
                return began, sample.at
            await asyncio.sleep(_LOOK_S)


def _picture(number: int) -> bytes:
    """Sniffed as a JPEG, and opened by nobody."""
    return b"\xff\xd8\xff" + number.to_bytes(8, "big") + bytes(200)


def table(found: Sequence[Drained]) -> str:
    """In the docs' form."""
    lines = ["| drain | took | half way: said | really | error |", "|---|---|---|---|---|"]
    for one in found:
        high = "never" if one.high_s is None else f"{one.high_s:.0f}"
        said = "nothing" if one.eta_s is None or one.low_s is None else f"{one.eta_s:.0f} s ({one.low_s:.0f} to {high})"
        lines.append(f"| {one.shape} | {one.took_s:.0f} s | {said} | {one.left_s:.0f} s | {one.error:.0%} |")
    median = statistics.median(one.error for one in found)
    within = sum(one.within for one in found)
    lines.append(f"\nMedian error {median:.0%} (goal: below {GOAL:.0%}); {within} of {len(found)} within the interval.")
    return "\n".join(lines)


async def measure() -> list[Drained]:
    """All shapes at the same time, on a broker and a database of their own."""
    with TemporaryDirectory(prefix="drains-") as directory:
        place = Path(directory)
        jars = await fetch_jars(user_cache_path("streamscorer"))
        async with run_kafka(place, jars) as kafka, run_postgres(place, durable=False) as postgres:
            await asyncio.to_thread(migrate, postgres.url, timeout_s=60)
            settings = Settings(
                kafka_bootstrap_servers=kafka.bootstrap_servers, database_url=postgres.url, log_level="error",
                _env_file=None,
            )  # fmt: skip
            configure_logging(settings)
            return await asyncio.gather(*(drained(settings, shape) for shape in shapes()))


def main(output: Path | None) -> int:
    """Exit code 1 where the goal is missed."""
    found = asyncio.run(measure())
    sys.stdout.write(f"{table(found)}\n")
    if output is not None:
        each = [{**asdict(one), "error": one.error, "within": one.within} for one in found]
        output.write_text(json.dumps(each, indent=1), encoding="utf-8")
    return int(statistics.median(one.error for one in found) >= GOAL)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
