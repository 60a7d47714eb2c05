"""From our settings to a Kafka client: one function for security and addresses, one for each kind of client."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError

from broker.failures import kafka_failures
from errors import UsageError
from settings import KafkaSettings

REBALANCE_TIMEOUT_S = 60.0
"""How long the group waits for a member: above the worst batch and its commit (the client's default is 10 s)."""
REQUEST_TIMEOUT_S = REBALANCE_TIMEOUT_S + 10
MAX_POLL_INTERVAL_S = 300.0
_STOP_S = 5.0
MIB = 1024 * 1024
MAX_REQUEST_BYTES = 64 * MIB
"""Limit of our own producers; the topic's max.message.bytes is what counts."""


def connection_options(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments that every aiokafka client takes. Raises UsageError when no broker is named or a PEM is bad."""
    if not settings.kafka_bootstrap_servers:
        raise UsageError(
            "SCORER_KAFKA_BOOTSTRAP_SERVERS is not set: give host:port of a Kafka broker "
            "(`streamscorer embedded` starts one, `streamscorer up` needs none)"
        )
    password = settings.kafka_sasl_password
    return {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
        "ssl_context": _ssl_context(settings) if "SSL" in settings.kafka_security_protocol.split("_") else None,
        "sasl_mechanism": settings.kafka_sasl_mechanism or "PLAIN",
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": password.get_secret_value() if password else None,
    }


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
        if settings.kafka_ssl_certfile:
            context.load_cert_chain(settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"SCORER_KAFKA_SSL_CAFILE={settings.kafka_ssl_cafile}, "
            f"SCORER_KAFKA_SSL_CERTFILE={settings.kafka_ssl_certfile}, "
            f"SCORER_KAFKA_SSL_KEYFILE={settings.kafka_ssl_keyfile}: {error}"
        ) from error
    return context


def build_consumer(settings: KafkaSettings, *, partition_fetch_bytes: int) -> AIOKafkaConsumer:
    """A group member that commits nothing by itself and sees only committed records. Not started."""
    return AIOKafkaConsumer(
        **connection_options(settings),
        client_id="streamscorer",
        group_id=settings.kafka_group_id,
        enable_auto_commit=False,
        # Only for an offset that the log does not have any more: from what is left on. Where a new group begins is
        # decided by who consumes, with a seek.
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        # Several assignors multiply the joins of a rebalance: exactly one.
        partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        max_partition_fetch_bytes=partition_fetch_bytes,
        fetch_max_bytes=16 * MIB,
        session_timeout_ms=int(settings.kafka_session_timeout_s * 1000),
        heartbeat_interval_ms=int(settings.kafka_session_timeout_s * 1000 / 4),
        rebalance_timeout_ms=int(REBALANCE_TIMEOUT_S * 1000),
        request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000),
        max_poll_interval_ms=int(MAX_POLL_INTERVAL_S * 1000),
        metadata_max_age_ms=30_000,
    )


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """With the broker away the client's stop hangs, or raises CancelledError: so in a task of its own, and bounded."""
    stopping = asyncio.create_task(consumer.stop(), name="stop-consumer")
    await asyncio.wait([stopping], timeout=_STOP_S)
    if not stopping.done():
        stopping.cancel()
        await asyncio.wait([stopping], timeout=_STOP_S)
    if stopping.done():
        with suppress(KafkaError, asyncio.CancelledError):
            stopping.result()


def build_producer(settings: KafkaSettings) -> AIOKafkaProducer:
    """An idempotent producer that waits for all replicas. Not started. No compression: JPEG does not shrink."""
    return AIOKafkaProducer(
        **connection_options(settings),
        client_id="streamscorer",
        acks="all",
        enable_idempotence=True,
        max_request_size=MAX_REQUEST_BYTES,
        max_batch_size=MIB,
        request_timeout_ms=10_000,
    )


@asynccontextmanager
async def open_client(settings: KafkaSettings, *, timeout_s: float) -> AsyncIterator[AIOKafkaClient]:
    """For requests that we make ourselves: connected, and closed at the end in bounded time.

    `timeout_s`: for connecting, and for each request. Raises BrokerUnavailable, and UsageError when no broker is named.
    """
    client = AIOKafkaClient(
        **connection_options(settings), client_id="streamscorer", request_timeout_ms=int(timeout_s * 1000)
    )
    try:
        with kafka_failures(settings):
            async with asyncio.timeout(timeout_s):
                await client.bootstrap()
        yield client
    finally:
        closing = asyncio.create_task(client.close(), name="close-client")
        await asyncio.wait([closing], timeout=timeout_s)
        closing.cancel()
        await asyncio.wait([closing], timeout=timeout_s)
        if closing.done():
            with suppress(KafkaError, asyncio.CancelledError):
                closing.result()


@asynccontextmanager
async def open_admin(settings: KafkaSettings, *, request_timeout_s: float = 10.0) -> AsyncIterator[AIOKafkaAdminClient]:
    """A started admin client. Raises BrokerUnavailable."""
    client = AIOKafkaAdminClient(
        **connection_options(settings), client_id="streamscorer", request_timeout_ms=int(request_timeout_s * 1000)
    )
    try:
        with kafka_failures(settings):
            await client.start()
        yield client
    finally:
        await client.close()
