"""The ground that cases stand on: a broker and a database, with topics and schemas that end with the run."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg

from broker.clients import build_producer, open_admin
from broker.topics import create_topics
from embedded.jars import fetch_jars
from embedded.kafka import run_kafka
from embedded.postgres import run_postgres
from settings import Settings
from store.migrations import migrate

PARTITIONS = 6
SOURCE = "/bench"
_SENT_AT_ONCE = 500


class Ground:
    """Kafka and PostgreSQL, ready; `topic` and `schema` give a case its own."""

    def __init__(self, settings: Settings) -> None:
        """`settings` name the broker and the database."""
        assert settings.database_url is not None
        self.settings = settings
        self._database = settings.database_url.get_secret_value()
        self.topics: list[str] = []
        self.schemas: list[str] = []

    async def room(self, partitions: int = PARTITIONS) -> dict[str, Any]:
        """Settings of a new topic, group and schema: what a consumer of the case's own needs."""
        name = f"bench-{uuid.uuid4().hex[:12]}"
        ours = self.settings.model_copy(update={"kafka_topic": name, "kafka_dlq_topic": f"{name}.dlq"})
        await create_topics(ours, max_image_bytes=ours.max_image_bytes, partitions=partitions)
        self.topics += [name, f"{name}.dlq"]
        return {
            "kafka_bootstrap_servers": ours.kafka_bootstrap_servers,
            "kafka_topic": name,
            "kafka_dlq_topic": f"{name}.dlq",
            "kafka_group_id": name,
            "database_url": await self.schema(),
            # A child that holds still while the other side has its turn must not lose its partitions.
            "kafka_session_timeout_s": 600,
            "stall_timeout_s": 3600,
        }

    async def schema(self) -> str:
        """URL of a new schema with our tables."""
        name = f"bench_{uuid.uuid4().hex[:12]}"
        async with await psycopg.AsyncConnection.connect(self._database, autocommit=True) as connection:
            await connection.execute(f"CREATE SCHEMA {name}".encode())
        self.schemas.append(name)
        url = f"{self._database}{'&' if '?' in self._database else '?'}options=-csearch_path%3D{name}"
        await asyncio.to_thread(migrate, url, timeout_s=60.0)
        return url

    async def publish(self, topic: str, images: Iterable[bytes], source: str = SOURCE, first: int = 0) -> int:
        """Publish images as CloudEvents with ids from `first` on, over all partitions; how many there were."""
        ours = self.settings.model_copy(update={"kafka_topic": topic})
        producer = build_producer(ours)
        await producer.start()
        sent = 0
        try:
            waiting = []
            for number, image in enumerate(images, first):
                headers = _headers(source, str(number))
                waiting.append(await producer.send(topic, image, key=str(number).encode(), headers=headers))
                sent += 1
                if len(waiting) == _SENT_AT_ONCE:
                    await asyncio.gather(*waiting)
                    waiting = []
            await asyncio.gather(*waiting)
        finally:
            await producer.stop()
        return sent


async def query(url: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """What a query returns, over a connection of its own."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return await (await connection.execute(statement.encode(), parameters or None)).fetchall()


async def execute(url: str, statement: str, *parameters: object) -> None:
    """Runs a statement that returns nothing, over a connection of its own."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(statement.encode(), parameters or None)


@asynccontextmanager
async def open_ground(settings: Settings, directory: Path) -> AsyncIterator[Ground]:
    """The broker and the database that `settings` name; what they do not name is embedded, and gone afterwards."""
    async with AsyncExitStack() as stack:
        found: dict[str, object] = {}
        if settings.database_url is None:
            postgres = await stack.enter_async_context(run_postgres(directory))
            found["database_url"] = postgres.url
        if settings.kafka_bootstrap_servers is None:
            jars = await fetch_jars(settings.cache_dir, settings.maven_mirror)
            kafka = await stack.enter_async_context(run_kafka(directory, jars))
            found["kafka_bootstrap_servers"] = kafka.bootstrap_servers
        # Read anew, so that the address is a secret as every other.
        ground = Ground(Settings(**{**settings.model_dump(exclude_unset=True), **found}))
        stack.push_async_callback(_clear, ground)
        yield ground


async def _clear(ground: Ground) -> None:
    async with open_admin(ground.settings) as admin:
        await admin.delete_topics(ground.topics)
    for schema in ground.schemas:
        url = ground.settings.database_url
        assert url is not None
        await execute(url.get_secret_value(), f"DROP SCHEMA {schema} CASCADE")


def _headers(source: str, event_id: str) -> Sequence[tuple[str, bytes]]:
    words = {"ce_specversion": "1.0", "ce_id": event_id, "ce_source": source, "ce_type": "io.streamscorer.image"}
    return [(name, value.encode()) for name, value in words.items()]
