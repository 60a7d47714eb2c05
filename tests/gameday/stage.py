"""What one fault happens to: a pipeline of its own, from broker and database to consumers, monitor and API."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from broker.topics import create_topics
from embedded.ports import keep_ports
from settings import KafkaSettings
from tests.faults.ground import Ground, standing
from tests.faults.members import Member, start_member
from tests.faults.pool import Picture
from tests.faults.publishing import open_publishing
from tests.gameday.load import Flow, Load, fetched_from, pictures_of
from tests.gameday.prometheus import Prometheus
from tests.system.processes import command
from tests.waiting import eventually

PARTITIONS = 6
SESSION_TIMEOUT_S = 10.0
"""The product's default, and so is INTERVAL_S."""
INTERVAL_S = 5.0
_LARGEST_IMAGE_BYTES = 8 * 2**20
_START_S = 180.0


@dataclass(frozen=True, slots=True)
class Setup:
    """What a pipeline is made of. `per_s`: pictures that are published all the time."""

    members: int = 1
    engine: str = "real"
    """real: ResNet50. fake: decoding and all else are real, the answers are mean colours."""
    per_s: float = 3.0
    seconds_an_image: float = 0.0
    """How much longer than it needs the engine takes, from the start on."""
    fetched_per_s: float = 0.0
    """Events beside them that name a picture of an image source, all in partition FETCHED."""


FETCHED = 2


@dataclass(frozen=True)
class Day:
    """What all faults share."""

    directory: Path
    jars: Path
    pictures: Sequence[bytes]
    engine: Mapping[str, object]
    """Settings of the real engine."""
    prometheus: Prometheus | None
    warm_s: float = 60.0
    """Healthy load before each fault."""
    least_s: float = 45.0
    """So long each fault lasts: a reason that comes and goes is none."""
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One ground at a time: two migrations in one process get into each other's way."""


class Stage:
    """Made by `set_up`. `name` is that of topic, group and pipeline."""

    def __init__(self, name: str, setup: Setup, ground: Ground, load: Load, directory: Path) -> None:
        self.name = name
        self.setup = setup
        self.ground = ground
        self.load = load
        self.pictures: Sequence[bytes] = ()
        self.members: dict[int, Member] = {}
        """The consumers, by their numbers."""
        self.api_url = ""
        self.settings: dict[str, object] = {}
        """Of every process."""
        self.engine: Mapping[str, object] = {}
        self.looping: asyncio.Task[None] | None = None
        """Starts and stops a consumer again and again."""
        ours = ["api", "monitor", *(f"consumer-{number}" for number in range(setup.members))]
        self.ports = keep_ports(directory / "ports.json", ours)
        """A process that is started again answers where it did."""
        self._pace = directory / "seconds-an-image"

    def slow_down(self, seconds_an_image: float) -> None:
        """From now on the engines take so much longer."""
        self._pace.write_text(str(seconds_an_image), encoding="ascii")

    def speed_up(self) -> None:
        """The end of `slow_down`."""
        self._pace.unlink(missing_ok=True)

    async def start(self, number: int) -> Member:
        """Start this consumer, for the first time or again."""
        own = {"health_port": self.ports[f"consumer-{number}"], "cache_entries": 0, **self.engine}
        trap = f"engine:slow:{self._pace}"
        member = await start_member({**self.settings, **own}, engine=self.setup.engine, trap=trap)
        self.members[number] = member
        return member

    async def working(self) -> None:
        """Wait until every consumer has partitions and has decided something, and answers."""

        def all_work() -> bool:
            for member in self.members.values():
                assert member.running, f"a consumer of {self.name} ended:\n{member.tail()}"
            return all(each.decided and each.partitions and each.url for each in self.members.values())

        await eventually(all_work, f"the consumers of {self.name} work", within_s=_START_S)

    @property
    def roles(self) -> dict[str, list[int]]:
        """Where its processes answer, by their roles."""
        found: dict[str, list[int]] = {}
        for name, port in self.ports.items():
            found.setdefault(name.partition("-")[0], []).append(port)
        return found


@asynccontextmanager
async def set_up(name: str, setup: Setup, day: Day) -> AsyncIterator[Stage]:
    """Everything runs and is scraped when the block begins; all of it is gone at its end."""
    directory = day.directory / name
    await asyncio.to_thread(directory.mkdir, parents=True)
    served = [Picture.of(image) for image in day.pictures]
    async with AsyncExitStack() as stack:
        async with day.starting:
            ground = await stack.enter_async_context(standing(directory, day.jars, nodes=1, pool=served))
        servers = ground.brokers.direct_servers
        made = KafkaSettings(kafka_bootstrap_servers=servers, kafka_topic=name)
        await create_topics(made, max_image_bytes=_LARGEST_IMAGE_BYTES, partitions=PARTITIONS)
        load = Load(await stack.enter_async_context(open_publishing(servers, name)))
        stage = Stage(name, setup, ground, load, directory)
        stage.settings = {
            **ground.member_settings(name),
            "kafka_session_timeout_s": SESSION_TIMEOUT_S,
            "lag_interval_s": INTERVAL_S,
            "source_deadline_s": 300,
        }
        stage.pictures, stage.engine = day.pictures, day.engine
        if setup.seconds_an_image:
            stage.slow_down(setup.seconds_an_image)
        await stack.enter_async_context(_processes(stage))
        await stack.enter_async_context(_loaded(stage))
        await stage.working()
        if day.prometheus is not None:
            day.prometheus.scrape(name, stage.roles)
            stack.callback(day.prometheus.scrape, name, {})
            await day.prometheus.scraped(name, len(stage.ports))
        yield stage


@asynccontextmanager
async def _processes(stage: Stage) -> AsyncIterator[None]:
    monitored = {**stage.settings, "health_port": stage.ports["monitor"]}
    async with AsyncExitStack() as stack:
        # The API scores nothing here: it need not hold a model twice as large as all else.
        api = await start_member({**stage.settings, "port": stage.ports["api"]}, role="api")
        await stack.enter_async_context(api)
        monitor = await stack.enter_async_context(command("monitor", settings=monitored))
        stack.push_async_callback(_kill, stage)
        for number in range(stage.setup.members):
            await stage.start(number)
        await monitor.line("http://", within_s=_START_S)
        stage.api_url = await eventually(lambda: api.url, "the API answers", within_s=_START_S)
        yield


async def _kill(stage: Stage) -> None:
    if stage.looping is not None:
        stage.looping.cancel()
        await asyncio.wait([stage.looping])
    for member in stage.members.values():
        member.kill()
        await member.end()


@asynccontextmanager
async def _loaded(stage: Stage) -> AsyncIterator[None]:
    setup, flows = stage.setup, stage.load.flows
    flows["pictures"] = Flow(setup.per_s, pictures_of(stage.pictures))
    if setup.fetched_per_s:
        flows["fetched"] = Flow(setup.fetched_per_s, fetched_from(stage.ground.source_url), FETCHED)
    loading = asyncio.create_task(stage.load.run(), name="load")
    try:
        yield
        if loading.done():
            loading.result()
    finally:
        loading.cancel()
        await asyncio.wait([loading])
