"""Kafka and PostgreSQL from testcontainers, for the tests that otherwise run on the embedded ones."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

KAFKA_IMAGE = "confluentinc/cp-kafka:7.6.0"
POSTGRES_IMAGE = "postgres:18-alpine"
KAFKA_SETTINGS = {
    "auto.create.topics.enable": "false",
    "message.max.bytes": 20 * 1024 * 1024,
    "replica.fetch.max.bytes": 20 * 1024 * 1024,
    "group.min.session.timeout.ms": 1000,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 1,
}


def docker_answers() -> bool:
    """Whether there is a Docker engine to start containers on."""
    try:
        from docker.client import DockerClient
        from docker.errors import DockerException
    except ImportError:
        return False
    try:
        client = DockerClient.from_env()
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


@contextmanager
def kafka_container() -> Iterator[str]:
    """Bootstrap servers of a broker that knows no topics and creates none by itself."""
    from testcontainers.community.kafka import KafkaContainer

    container = KafkaContainer(KAFKA_IMAGE).with_kraft()
    for name, value in KAFKA_SETTINGS.items():
        container.with_env(f"KAFKA_{name.upper().replace('.', '_')}", str(value))
    with _started(container):
        yield container.get_bootstrap_server()


@contextmanager
def postgres_container() -> Iterator[str]:
    """URL of an empty database."""
    from testcontainers.community.postgres import PostgresContainer

    password = secrets.token_urlsafe(24)
    container = PostgresContainer(
        POSTGRES_IMAGE, username="postgres", password=password, dbname="streamscorer", driver=None
    )
    container.with_command("postgres -c fsync=off -c synchronous_commit=off -c full_page_writes=off")
    with _started(container):
        yield container.get_connection_url()


@contextmanager
def _started(container: "DockerContainer") -> Iterator[None]:
    try:
        container.start()
        yield
    finally:
        container.stop()
