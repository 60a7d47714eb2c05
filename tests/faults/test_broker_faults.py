"""The broker away under a running consumer: said, waited out, nothing lost or doubled."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from broker.topics import create_topics
from consumer import commits
from settings import Settings
from tests.consumer.conftest import PARTITIONS, running
from tests.consumer.test_worker import cloud_event, drained, servers, url
from tests.faults.brokers import Brokers, run_brokers
from tests.faults.conftest import watched
from tests.faults.proxy import Proxy, run_proxy
from tests.inference.pictures import encode, photo
from tests.kafka_tools import publish, rows
from tests.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("engines")]
IMAGE = encode(photo(), "JPEG")
RECORDS = 30


@dataclass
class Far:
    """One broker behind a proxy."""

    brokers: Brokers
    proxy: Proxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def far(jars: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Far]:
    folder = tmp_path_factory.mktemp("far")
    async with run_proxy(0) as proxy, run_brokers(folder, jars, advertise={1: proxy.port}) as brokers:
        proxy.target_port = brokers.ports[1]
        yield Far(brokers, proxy)


@pytest_asyncio.fixture(loop_scope="module")
async def there(far: Far, settings: Settings) -> Settings:
    """Settings with topics on that broker."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    made = settings.model_copy(
        update={
            "kafka_bootstrap_servers": far.brokers.bootstrap_servers, "kafka_topic": name, "kafka_group_id": name,
            "kafka_dlq_topic": f"{name}.dlq",
        }
    )  # fmt: skip
    await create_topics(made, max_image_bytes=made.max_image_bytes, partitions=PARTITIONS)
    return made


async def feed(settings: Settings, name: str) -> None:
    records = [(IMAGE, cloud_event(f"{name}-{number}")) for number in range(RECORDS)]
    await publish(servers(settings), settings.kafka_topic, [*records, (b"no picture", cloud_event(f"{name}-bad"))])


async def check(settings: Settings, *names: str) -> None:
    scored = await rows(url(settings), "select event_id from scores order by 1")
    assert [row[0] for row in scored] == sorted(f"{name}-{number}" for name in names for number in range(RECORDS))
    assert len(await rows(url(settings), "select 1 from dead_letters")) == len(names)


@pytest.mark.parametrize("how", ["go_silent", "refuse"])
async def test_a_broker_that_went_away_is_said_and_waited_out(
    far: Far, there: Settings, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "STATE_EVERY_S", 0.5)
    monkeypatch.setattr(commits, "_COMMIT_TIMEOUT_S", 1.0)
    async with running(there) as scorer:
        await feed(there, "before")
        await eventually(partial(drained, there))
        async with watched(scorer) as trouble:
            getattr(far.proxy, how)()
            await trouble.began("broker", "commit failed")
            far.proxy.heal()
            await trouble.ended("broker")
        await feed(there, "after")
        await eventually(partial(drained, there))
    await check(there, "before", "after")
