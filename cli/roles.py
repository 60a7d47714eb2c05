"""The roles that run until they are told to stop: `all`, `consumer`, `api`. Here the rooms are wired together."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import FastAPI

from api.app import create_app, create_health_app
from api.server import serve
from api.services import Check, Services
from broker.election import Election
from broker.publisher import Publisher, open_publisher
from broker.topics import Cluster, inspect
from cli import output
from cli.lifecycle import starting
from cli.patience import patiently
from consumer.hops import Parts
from consumer.membership import unless
from consumer.worker import Worker
from errors import Transient
from inference.core import InferenceCore, open_core
from monitor.export import LagCollector, election_of
from monitor.watcher import Watcher
from schemas.http import CheckResult
from settings import Settings
from sources.fetcher import SourceFetcher, open_fetcher
from store.store import Store, open_store
from telemetry import Metrics
from tracing.opening import open_tracing

if TYPE_CHECKING:
    from tracing.spans import Tracing

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Rooms:
    """What every role that scores holds open."""

    settings: Settings
    metrics: Metrics
    core: InferenceCore
    store: Store
    publisher: Publisher
    fetcher: SourceFetcher
    tracing: "Tracing | None"

    def checks(self) -> dict[str, Check]:
        """Readiness of the rooms, by the name of what each depends on."""
        return {"store": _check(self.store.ping), "kafka": _check(self.publisher.ping)}


@asynccontextmanager
async def open_rooms(settings: Settings, tracing: "Tracing | None" = None) -> AsyncIterator[Rooms]:
    """Model, store, publisher and fetcher; closed in the opposite order."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(open_core(settings, metrics))
        store = await stack.enter_async_context(open_store(settings, metrics, start_timeout_s=settings.start_timeout_s))
        await store.register_model(core.info)
        publisher = await stack.enter_async_context(open_publisher(settings))
        fetcher = await stack.enter_async_context(open_fetcher(settings))
        # What is loaded stays: the collector, which would stop us for a tenth of a second over it, leaves it out.
        gc.collect()
        gc.freeze()
        stack.callback(gc.unfreeze)
        yield Rooms(settings, metrics, core, store, publisher, fetcher, tracing)


async def run_all(settings: Settings, stop: asyncio.Event, announce: Announce = output.line) -> int:
    """API and consumer in one process over one core."""
    async with open_tracing() as tracing, AsyncExitStack() as stack:
        async with starting(stop):
            cluster = await wait_for_cluster(settings)
            rooms = await stack.enter_async_context(open_rooms(settings, tracing))
        worker, watcher = _worker(rooms, cluster), Watcher(settings)
        election = election_of(settings, watcher)
        collector = LagCollector(watcher, lambda: election.won or (election.refused and worker.leads))
        rooms.metrics.registry.register(collector)
        app = _app(rooms, rooms.checks() | {"consumer": _consuming(worker)}, watcher)
        async with asyncio.TaskGroup() as roles:
            consuming = roles.create_task(_consume(worker, stop), name="consumer")
            roles.create_task(serve(app, settings, on_ready=announce, stop=stop), name="api")
            roles.create_task(_stop_worker(worker, stop), name="stop")
            roles.create_task(_watch(watcher, stop), name="lag")
            roles.create_task(_stand(election, stop), name="election")
    return 0 if consuming.result() else 1


async def run_consumer(settings: Settings, stop: asyncio.Event) -> int:
    """A member of the group; with HEALTH_PORT it answers /livez, /readyz and /metrics."""
    async with open_tracing() as tracing, AsyncExitStack() as stack:
        async with starting(stop):
            cluster = await wait_for_cluster(settings)
            rooms = await stack.enter_async_context(open_rooms(settings, tracing))
        worker = _worker(rooms, cluster)
        async with asyncio.TaskGroup() as roles:
            consuming = roles.create_task(_consume(worker, stop), name="consumer")
            roles.create_task(_stop_worker(worker, stop), name="stop")
            if settings.health_port is not None:
                checks = rooms.checks() | {"consumer": _consuming(worker)}
                app = create_health_app(checks, rooms.metrics, trouble=rooms.core.trouble)
                answering = serve(app, settings, on_ready=output.line, stop=stop, listen_on="health_port")
                roles.create_task(answering, name="health")
    return 0 if consuming.result() else 1


async def run_api(settings: Settings, stop: asyncio.Event) -> int:
    """The HTTP service alone. It starts without Kafka, whose absence /readyz and POST /events tell."""
    async with open_tracing() as tracing, AsyncExitStack() as stack:
        async with starting(stop):
            rooms = await stack.enter_async_context(open_rooms(settings, tracing))
        watcher = Watcher(settings) if settings.kafka_bootstrap_servers else None
        app = _app(rooms, rooms.checks(), watcher)
        async with asyncio.TaskGroup() as roles:
            roles.create_task(serve(app, settings, on_ready=output.line, stop=stop), name="api")
            if watcher is not None:
                roles.create_task(_watch(watcher, stop), name="lag")
    return 0


async def wait_for_cluster(settings: Settings) -> Cluster:
    """Our topics as Kafka knows them. Raises DependencyAway after START_TIMEOUT_S, UsageError for a missing topic."""
    topics = [settings.kafka_topic, settings.kafka_dlq_topic]
    if settings.kafka_scores_topic:
        topics.append(settings.kafka_scores_topic)
    return await patiently(lambda: inspect(settings, topics), settings.start_timeout_s)


def _check(ping: Callable[[], Awaitable[None]]) -> Check:
    async def check() -> str | None:
        try:
            await ping()
        except Transient as trouble:
            return str(trouble)
        return None

    return check


def _consuming(worker: Worker) -> Check:
    """An operator's pause is named and takes nothing out of rotation: neither the API beside it nor the member."""

    async def check() -> str | CheckResult | None:
        trouble, pause = await worker.trouble(), worker.pause
        if trouble is None and pause is not None:
            return CheckResult(ok=True, state="paused", reason=str(pause))
        return trouble

    return check


def _worker(rooms: Rooms, cluster: Cluster) -> Worker:
    parts = Parts(rooms.core, rooms.store, rooms.publisher, rooms.fetcher, rooms.metrics, rooms.tracing)
    return Worker(rooms.settings, parts, cluster)


def _app(rooms: Rooms, checks: dict[str, Check], watcher: Watcher | None) -> FastAPI:
    parts = (rooms.core, rooms.store, rooms.publisher, rooms.fetcher, rooms.metrics)
    return create_app(Services(rooms.settings, *parts, checks, watcher, rooms.tracing))


async def _consume(worker: Worker, stop: asyncio.Event) -> bool:
    try:
        return await worker.run()
    finally:
        stop.set()


async def _watch(watcher: Watcher, stop: asyncio.Event) -> None:
    await unless(stop, watcher.run())


async def _stand(election: Election, stop: asyncio.Event) -> None:
    await unless(stop, election.stand())


async def _stop_worker(worker: Worker, stop: asyncio.Event) -> None:
    await stop.wait()
    worker.stop()
