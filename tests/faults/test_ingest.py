"""POST /events while the broker is away: nothing is accepted that Kafka does not have, and it works again by itself."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from api.app import create_app
from api.services import Services
from broker import publisher as publishing
from broker.publisher import open_publisher
from broker.topics import create_topics
from settings import ApiSettings, InferenceSettings
from telemetry import Metrics
from tests.api.conftest import client_of
from tests.faults.brokers import Brokers, run_brokers
from tests.faults.conftest import Engines
from tests.faults.proxy import Proxy, run_proxy
from tests.inference.pictures import encode, photo
from tests.kafka_tools import read_all
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
IMAGE = encode(photo(), "JPEG")
EACH_RECORD = b"ce_specversion"
LIMIT_S = 1.5
CALLERS = 4


@dataclass
class Kafka:
    """One broker behind a proxy, and a topic."""

    brokers: Brokers
    proxy: Proxy
    settings: ApiSettings

    def has_cut(self, lines: int) -> bool:
        return self.proxy.cuts == lines


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kafka_behind(jars: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    async with (
        run_proxy(0) as proxy,
        run_brokers(tmp_path_factory.mktemp("ingest"), jars, advertise={1: proxy.port}) as brokers,
    ):
        proxy.target_port = brokers.ports[1]
        settings = ApiSettings(kafka_bootstrap_servers=brokers.bootstrap_servers, kafka_topic="ingest")
        await create_topics(settings, max_image_bytes=2**20, partitions=2)
        yield Kafka(brokers, proxy, settings)


@dataclass
class Callers:
    """Callers that publish all the time, each event with an id of its own, and what they were answered."""

    client: httpx.AsyncClient
    name: str
    answers: dict[str, httpx.Response] = field(default_factory=dict)
    slowest_s: float = 0.0
    _numbers: Any = field(default_factory=itertools.count)

    async def call(self) -> None:
        while True:
            event_id = f"{self.name}-{next(self._numbers)}"
            began = time.monotonic()
            self.answers[event_id] = await self.client.post("/events", content=IMAGE, params={"id": event_id})
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            await asyncio.sleep(0.01)

    async def more(self, status: int, count: int) -> None:
        """Wait for so many more answers of this status."""

        def has() -> int:
            return sum(answer.status_code == status for answer in self.answers.values())

        wanted = has() + count
        await eventually(lambda: has() >= wanted, f"{count} more answers {status}")


@asynccontextmanager
async def calling(kafka: Kafka, engines: Engines, name: str) -> AsyncIterator[Callers]:
    """The service with a publisher that nobody makes anew, and callers at work; checked against the log at the end."""
    nothing: Any = None
    metrics = Metrics()
    async with engines.open_core(InferenceSettings(), metrics) as core, open_publisher(kafka.settings) as publisher:
        services = Services(kafka.settings, core, nothing, publisher, nothing, metrics, {})
        async with client_of(create_app(services)) as client:
            callers = Callers(client, name)
            async with asyncio.TaskGroup() as tasks:
                calls = [tasks.create_task(callers.call()) for _ in range(CALLERS)]
                await callers.more(202, 10)
                yield callers
                await callers.more(202, 10)
                for call in calls:
                    call.cancel()
    await eventually(lambda: not of_kafkas_client(), "tasks of the client that nobody ended")
    log = {(r.partition, r.offset): r.key for r in await read_all(kafka.brokers.direct_servers, "ingest")}
    assert {answer.status_code for answer in callers.answers.values()} <= {202, 503}
    for event_id, answer in callers.answers.items():
        if answer.status_code == 202:
            assert log[answer.json()["partition"], answer.json()["offset"]] == event_id.encode()
        else:
            assert answer.json()["type"] == "/problems/broker-unavailable"
            assert answer.headers["retry-after"]


def of_kafkas_client() -> list[str]:
    """Tasks that Kafka's client runs in this loop."""
    names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return [name for name in names if name.startswith(("Sender.", "AIOKafkaClient.", "MessageAccumulator."))]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "_ACKNOWLEDGE_S", LIMIT_S)
    monkeypatch.setattr(publishing, "_START_S", LIMIT_S)


async def test_a_broker_that_is_killed_and_started_again_is_no_202_without_its_record(
    kafka_behind: Kafka, engines: Engines
) -> None:
    async with calling(kafka_behind, engines, "killed") as callers:
        await kafka_behind.brokers.kill(1)
        await callers.more(503, 2 * CALLERS)
        await kafka_behind.brokers.start(1)


async def test_a_silent_broker_is_a_503_in_time_for_every_caller(kafka_behind: Kafka, engines: Engines) -> None:
    async with calling(kafka_behind, engines, "silent") as callers:
        kafka_behind.proxy.go_silent()
        await callers.more(503, 2 * CALLERS)
        kafka_behind.proxy.heal()
        assert callers.slowest_s < 3 * LIMIT_S


async def test_an_acknowledgement_that_gets_lost_is_asked_for_again_and_the_record_stands_once(
    kafka_behind: Kafka, engines: Engines
) -> None:
    async with calling(kafka_behind, engines, "lost") as callers:
        for cuts in range(1, 6):
            kafka_behind.proxy.cut_at(EACH_RECORD, deliver=True)
            await eventually(partial(kafka_behind.has_cut, cuts))
            await callers.more(202, 5)
    found = [record.key for record in await read_all(kafka_behind.brokers.direct_servers, "ingest")]
    accepted = [event_id.encode() for event_id, answer in callers.answers.items() if answer.status_code == 202]
    assert [found.count(event_id) for event_id in accepted] == [1] * len(accepted)
