"""One trial: topics, members, a publisher and a sampler over a ground of brokers and database, and its verdict."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from broker.topics import create_topics
from settings import KafkaSettings
from tests.faults.checker import check
from tests.faults.fleet import Kind, describe, run_fleet
from tests.faults.generator import Plan, Planned
from tests.faults.ground import Ground
from tests.faults.history import Answer, History
from tests.faults.publishing import Publishing, open_publishing
from tests.faults.reading import Where, read_committed, read_ends
from tests.faults.sampling import sampling
from tests.faults.verdict import Verdict
from tests.faults.world import World
from tests.waiting import eventually

LARGEST_IMAGE_BYTES = 8 * 2**20
DRAIN_S = 10.0
_TICK_S = 0.1
_BURST = 100
_IN_BURSTS = 0.2
_LAG_S = 180.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trial came to. `trouble`: what else went wrong, in words."""

    history: History
    verdict: Verdict
    trouble: list[str]

    @property
    def ok(self) -> bool:
        return self.verdict.ok and not self.trouble


class Trial:
    """A group at work on one topic. Made by `trial`."""

    def __init__(self, world: World, plan: Plan, publishing: Publishing, reference: Mapping[str, Answer]) -> None:
        self.world = world
        self.publishing = publishing
        self.handed_over = 0
        self._plan = plan
        self._reference = reference

    @asynccontextmanager
    async def feeding(self, per_s: float) -> AsyncIterator[None]:
        """Publish so many a second until the end of the block, a fifth of them in bursts."""
        feeding = asyncio.create_task(self._feed(per_s), name="feed")
        try:
            yield
            if feeding.done():
                feeding.result()
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])

    async def _feed(self, per_s: float) -> None:
        choose, due, last_s = random.Random(self.world.choose.random()), 0.0, time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            now_s = time.monotonic()
            share, last_s = min(now_s - last_s, 1.0) * per_s, now_s
            due += share * (1 - _IN_BURSTS)
            count = int(due) + (_BURST if choose.random() < share * _IN_BURSTS / _BURST else 0)
            due -= int(due)
            await self.publish(self._plan.take(count))

    async def publish(self, planned: Sequence[Planned]) -> None:
        """Hand over these records, in order."""
        await self.publishing.publish(planned)
        self.handed_over += len(planned)

    async def publish_more(self, count: int) -> None:
        """The next records of the plan."""
        await self.publish(self._plan.take(count))

    async def publish_bad(self, count: int) -> None:
        """So many bad records in a row, in one partition."""
        spread = self.world.choose.randrange(1 << 16)
        await self.publish(self._plan.bad_row(count, spread))

    async def lag(self) -> int:
        """Records between the committed offsets and the ends of the log."""
        where = self.world.where
        committed = await read_committed(where.servers, where.group, where.topic)
        ends = await read_ends(where.servers, where.topic)
        return sum(end - committed.get(partition, 0) for partition, end in ends.items())

    async def finish(self) -> Outcome:
        """Wait until all is consumed, let the members leave, and judge."""
        await self.publishing.flush()

        async def drained() -> bool:
            self.world.fleet.check()
            return await self.lag() == 0

        trouble = []
        try:
            await eventually(drained, "lag 0", within_s=_LAG_S)
        except AssertionError as error:
            trouble.append(f"the group did not consume to the end: {error}")
        codes = await self.world.fleet.leave()
        trouble += [f"a member that was told to leave ended with {describe(code)}" for code in codes if code != 0]
        history = await self.world.sampler.history(self.publishing.sent(), self._reference)
        return Outcome(history, check(history), trouble)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a trial is made of. `name` is that of its topic and its group."""

    name: str
    plan: Plan
    reference: Mapping[str, Answer]
    seed: int
    members: int = 3
    partitions: int = 6
    engine: str = "fake"
    root: Path | None = None
    """Tree that the members run from; None: this one."""
    extra: Mapping[str, object] | None = None
    """More settings of the members."""


@asynccontextmanager
async def trial(ground: Ground, setup: Setup) -> AsyncIterator[Trial]:
    """Topics, members, sampler and publisher; all of it ended with the block."""
    name = setup.name
    settings = KafkaSettings(kafka_bootstrap_servers=ground.brokers.direct_servers, kafka_topic=name)
    await create_topics(settings, max_image_bytes=LARGEST_IMAGE_BYTES, partitions=setup.partitions)
    where = Where(ground.brokers.direct_servers, ground.database.url, name, name)
    kind = Kind({**ground.member_settings(name), **(setup.extra or {})}, engine=setup.engine)
    if setup.root is not None:
        kind = Kind(kind.settings, setup.root, kind.engine)
    async with (
        sampling(where) as sampler,
        open_publishing(where.servers, name) as publishing,
        run_fleet(kind, setup.members) as fleet,
    ):
        world = World(ground, fleet, where, sampler, random.Random(setup.seed))
        yield Trial(world, setup.plan, publishing, setup.reference)
