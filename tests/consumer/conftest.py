"""A group, its topics, its schema, and a worker that runs in this process with the real rooms."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from broker.publisher import Publisher, open_publisher
from broker.topics import create_topics, inspect
from consumer.hops import Core, Parts
from consumer.worker import Worker
from inference.core import open_core
from settings import Settings
from sources.fetcher import open_fetcher
from store.store import Store, open_store
from telemetry import Metrics
from tracing.spans import Tracing

PARTITIONS = 3


async def settings_of_its_own(partitions: int, **given: Any) -> Settings:
    """Settings with topics and a group of the test's own, beside what is `given`."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    made = Settings(kafka_topic=name, kafka_group_id=name, threads=1, drain_timeout_s=20, _env_file=None, **given)
    await create_topics(made, max_image_bytes=made.max_image_bytes, partitions=partitions)
    return made


@pytest.fixture
async def settings(kafka: str, migrated_url: str, checkpoint: Path, tmp_path: Path) -> Settings:
    """Settings with topics, group and schema of the test's own."""
    return await settings_of_its_own(
        PARTITIONS,
        kafka_bootstrap_servers=kafka,
        database_url=migrated_url,
        weights=str(checkpoint),
        cache_entries=0,  # tests count inferences, and publish the same pictures again and again
        uri_file_roots=str(tmp_path),
    )


class Running:
    """A worker at work, with the rooms it uses."""

    def __init__(self, settings: Settings, worker: Worker, parts: Parts) -> None:
        self.settings = settings
        self.worker = worker
        self.core: Core = parts.core
        self.store: Store = parts.store
        self.metrics: Metrics = parts.metrics
        self.publisher: Publisher = parts.publisher

    def count(self, name: str, **labels: str) -> float:
        """A sample's value as it would be scraped; 0 where it does not exist yet."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def open_parts(settings: Settings, tracing: Tracing | None = None) -> AsyncIterator[Parts]:
    """The rooms that a consumer works with."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(open_core(settings, metrics))
        store = await stack.enter_async_context(open_store(settings, metrics, start_timeout_s=10))
        publisher = await stack.enter_async_context(open_publisher(settings))
        fetcher = await stack.enter_async_context(open_fetcher(settings))
        yield Parts(core, store, publisher, fetcher, metrics, tracing)


@asynccontextmanager
async def running(settings: Settings, tracing: Tracing | None = None) -> AsyncIterator[Running]:
    """Run a worker until the end of the block, then drain it; it must drain."""
    async with open_parts(settings, tracing) as parts:
        cluster = await inspect(settings, [settings.kafka_topic, settings.kafka_dlq_topic])
        worker = Worker(settings, parts, cluster)
        async with working(worker):
            yield Running(settings, worker, parts)


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[None]:
    """Run it until the end of the block, then drain it; it must drain."""
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(worker.run())
        yield
        worker.stop()
    assert work.result() is True
