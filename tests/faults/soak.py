"""`python -m tests.faults.soak` (`make soak`): a seeded schedule of faults against everything, a judge, and a table.

SOAK_S: how long (1800). SOAK_RECORDS: fewest records (50000 in half an hour, fewer in less time). SEED: repeats the
records and the order of the faults.
Writes build/soak/report.md and .json. Exit 1 when anything was lost, doubled or wrong, or needed a hand.
"""

import asyncio
import logging
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from embedded.jars import fetch_jars
from settings import LogSettings, Settings
from telemetry import configure_logging
from tests.faults.fleet import describe
from tests.faults.generator import Ingredients, Plan, bad_records
from tests.faults.ground import Ground, standing
from tests.faults.offline import predicted, real_engine
from tests.faults.pool import Picture, make_pool, offline_answers
from tests.faults.report import Struck
from tests.faults.results import Part, write_results
from tests.faults.schedule import FAULTS, REAL_FAULTS, Kinds, faults
from tests.faults.trial import Setup, Trial, trial

PICTURES = 300
BAD_IN_A_ROW = 100
PROGRESS_S = 15.0
INTERRUPTED = 143
FULL_S, FULL_RECORDS = 1800.0, 50_000
REAL_SHARE = 0.12
REAL_PER_S = 5.0
OUT = Path("build/soak")
FEWEST_FAULTS, FEWEST_OF_A_KIND, FEWEST_BAD = 60, 5, 1000
"""What a run of full length must have come to, so that its table says something."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is asked for."""

    seconds: float
    records: int
    seed: int

    @classmethod
    def from_environment(cls) -> "Asked":
        found = os.environ
        seed = int(found.get("SEED") or random.SystemRandom().randrange(1 << 31))
        seconds = float(found.get("SOAK_S") or FULL_S)
        records = int(found.get("SOAK_RECORDS") or FULL_RECORDS * min(1.0, seconds / FULL_S))
        return cls(seconds, records, seed)


def say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


class Soak:
    """One part of a run: faults against one trial until its time is up."""

    def __init__(self, name: str, running: Trial, kinds: Kinds, seconds: float) -> None:
        self.struck: list[Struck] = []
        self.trouble: list[str] = []
        self._name = name
        self._running = running
        self._kinds = kinds
        self._began_s = time.monotonic()
        self._seconds = seconds
        self._doing = "starting"

    async def run(self, records: int) -> Part:
        """Inject until the time is up, publish what is missing, and judge."""
        async with self._telling():
            async with self._running.feeding(records / self._seconds):
                await self._inject()
            self._doing = "publishing the rest"
            await self._running.publish_more(max(0, records - self._running.handed_over))
            self._doing = "draining"
            ends = list(self._running.world.fleet.ends)
            outcome = await self._running.finish()
        unasked = Counter(describe(end.code) for end in ends if not end.meant)
        outcome.trouble.extend(self.trouble)
        return Part(self._name, self.struck, outcome, unasked)

    async def _inject(self) -> None:
        world = self._running.world
        for name, inject in faults(world.choose, self._kinds):
            if self._elapsed_s > self._seconds:
                return
            if len(self.struck) % 20 == 10:
                await self._running.publish_bad(BAD_IN_A_ROW)
            self._doing = name
            try:
                await world.fleet.working()
                blow = await inject(world)
                self.struck.append(Struck(name, blow))
                self._doing = f"recovering from: {name}"
                await world.recovered(blow.over_s)
            except AssertionError as error:
                self.trouble.append(f"a hand would have been needed: {name}: {error}")
                return

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    @asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        telling = asyncio.create_task(self._tell(), name="progress")
        try:
            yield
        finally:
            telling.cancel()

    async def _tell(self) -> None:
        while True:
            running = self._running
            decided = len(running.world.sampler.seen)
            say(
                f"{self._name} {self._elapsed_s:5.0f} of {self._seconds:.0f} s: "
                f"{running.publishing.acknowledged} acknowledged, {decided} rows, {len(self.struck)} faults, "
                f"{running.world.fleet.starts} starts; {self._doing}"
            )
            await asyncio.sleep(PROGRESS_S)


async def soak(asked: Asked, data_dir: Path) -> list[Part]:
    """Both parts: many records over the cheap engine, and a share over the real one."""
    found = Settings()
    jars = await fetch_jars(found.cache_dir, found.maven_mirror)
    pool = make_pool(PICTURES, asked.seed)
    real_s = max(asked.seconds * REAL_SHARE, 30.0)
    async with standing(data_dir, jars, nodes=3, pool=pool) as ground:
        plan = Plan(asked.seed, Ingredients(pool, bad_records(), ground.source_url))
        setup = Setup("soak", plan, offline_answers(pool), asked.seed)
        async with trial(ground, setup) as running:
            main = await Soak("fake engine", running, FAULTS, asked.seconds - real_s).run(asked.records)
        return [main, await real_part(ground, pool, asked, real_s, data_dir)]


async def real_part(ground: Ground, pool: list[Picture], asked: Asked, seconds: float, data_dir: Path) -> Part:
    """The real ResNet50 on a topic of its own, judged against `streamscorer predict` over the same files."""
    engine = await asyncio.to_thread(real_engine, data_dir)
    reference = await predicted(pool, engine, data_dir / "pictures")
    plan = Plan(asked.seed + 1, Ingredients(pool, bad_records(), ground.source_url, source="/soak-real"))
    setup = Setup("soak-real", plan, reference, asked.seed + 1, members=2, partitions=4, engine="real", extra=engine)
    async with trial(ground, setup) as running:
        return await Soak("ResNet50", running, REAL_FAULTS, seconds).run(int(REAL_PER_S * seconds))


def shortage(asked: Asked, main: Part) -> list[str]:
    """What the part with the many records lacks, in words; a shorter run may lack anything but records."""
    times = Counter(one.fault for one in main.struck)
    verdict = main.outcome.verdict
    bad = verdict.fates["dead letter"] + verdict.fates["conflict"]
    found = [] if verdict.records >= asked.records else [f"{verdict.records} records instead of {asked.records}"]
    if asked.seconds < FULL_S:
        return found
    if times.total() < FEWEST_FAULTS:
        found.append(f"{times.total()} faults instead of {FEWEST_FAULTS}")
    if bad < FEWEST_BAD:
        found.append(f"{bad} bad records instead of {FEWEST_BAD}")
    seldom = [f"{name}: {times[name]} times instead of {FEWEST_OF_A_KIND}" for name in FAULTS]
    return found + [words for name, words in zip(FAULTS, seldom, strict=True) if times[name] < FEWEST_OF_A_KIND]


async def main() -> int:
    """Run, write and print the results; the exit code."""
    asked = Asked.from_environment()
    say(f"soak of {asked.seconds:.0f} s, at least {asked.records} records; SEED={asked.seed} repeats it")
    configure_logging(LogSettings(log_level="error"))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # our own clients tell of every fault, at length
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    with tempfile.TemporaryDirectory(prefix="soak-") as data_dir:
        try:
            parts = await soak(asked, Path(data_dir))
        except asyncio.CancelledError:
            say("interrupted")
            return INTERRUPTED
    parts[0].outcome.trouble.extend(shortage(asked, parts[0]))
    text = write_results(OUT, asked.seed, asked.seconds, parts)
    sys.stdout.write(text)
    return 0 if all(part.outcome.ok for part in parts) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
