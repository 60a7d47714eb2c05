"""One running set of real parts for the whole session: a core, a store with its own schema, a topic, and a client.

Tests keep apart by their own sources and ids. Everything lives on the session's event loop, as does each test here.
"""

import contextlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psycopg
import pytest
import pytest_asyncio
from fastapi import FastAPI

from api.app import create_app
from api.services import Services
from broker.publisher import open_publisher
from broker.topics import create_topics
from inference.core import InferenceCore, open_core
from settings import ApiSettings, InferenceSettings, StoreSettings
from sources.fetcher import open_fetcher
from store.migrations import migrate
from store.store import open_store
from telemetry import Metrics
from tests.checkpoints import SAMPLES

MAX_IMAGE_BYTES = 1024 * 1024
PARTITIONS = 2


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def core(checkpoint: Path) -> AsyncIterator[InferenceCore]:
    settings = InferenceSettings(
        weights=str(checkpoint), threads=1, engine="torch", precision="fp32", max_image_bytes=MAX_IMAGE_BYTES
    )
    async with open_core(settings, Metrics()) as core:
        yield core


@pytest.fixture(scope="session")
def session_url(postgres_url: str) -> str:
    """Like `migrated_url`, for the whole session."""
    schema = f"api_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
    url = f"{postgres_url}?options=-csearch_path%3D{schema}"
    migrate(url, timeout_s=30)
    return url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def services(core: InferenceCore, kafka: str, session_url: str) -> AsyncIterator[Services]:
    """Everything real; `file:` may read the samples."""
    settings = ApiSettings(
        kafka_bootstrap_servers=kafka,
        kafka_topic=f"api-{uuid.uuid4().hex[:8]}",
        uri_file_roots=(str(SAMPLES),),
        max_image_bytes=MAX_IMAGE_BYTES,
        max_wait_s=20,
    )
    metrics = Metrics()
    await create_topics(settings, max_image_bytes=MAX_IMAGE_BYTES, partitions=PARTITIONS)
    async with contextlib.AsyncExitStack() as stack:
        yield Services(
            settings=settings,
            core=core,
            store=await stack.enter_async_context(
                open_store(StoreSettings(database_url=session_url), metrics, start_timeout_s=10)
            ),
            publisher=await stack.enter_async_context(open_publisher(settings)),
            fetcher=await stack.enter_async_context(open_fetcher(settings)),
            metrics=metrics,
            checks={},
        )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def app(services: Services) -> FastAPI:
    return create_app(services)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://scorer")
