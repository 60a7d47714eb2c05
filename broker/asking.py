"""Requests over aiokafka's bare client: answered in bounded time, made again while leaders and coordinators move.

aiokafka's admin client overlooks errors that stand beside the offsets, and asks for topics in a way that creates them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from aiokafka import errors as kafka
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request

from broker.clients import open_client
from broker.failures import explain, kafka_failures
from errors import BrokerUnavailable, UsageError
from settings import KafkaSettings

_AGAIN_S: Final = 0.1
R = TypeVar("R")


class Asking:
    """One connection to each broker."""

    def __init__(self, settings: KafkaSettings, client: AIOKafkaClient, timeout_s: float) -> None:
        self.servers = settings.kafka_bootstrap_servers
        self._settings = settings
        self._client = client
        self._timeout_s = timeout_s

    async def any_broker(self, request: Request[Any]) -> Any:
        """The answer of one that is known."""
        node = self._client.get_random_node()
        if node is None:
            raise kafka.KafkaConnectionError("no broker is known")
        return await self.broker(node, request)

    async def broker(self, node: int, request: Request[Any]) -> Any:
        """The answer of this one."""
        return await self._client.send(node, request)

    def learn(self, metadata: Any) -> None:
        """Which brokers there are, from an answer to a MetadataRequest."""
        self._client.cluster.update_metadata(metadata)

    async def settled(self, attempt: Callable[[], Awaitable[R]], forget: Callable[[], None]) -> R:
        """`attempt()`, and again after `forget()` while leaders and coordinators move, or are not chosen yet.

        Ends within the timeout. Raises BrokerUnavailable, with the last trouble of that kind as the reason, and
        UsageError for what Kafka refuses.
        """
        try:
            with kafka_failures(self._settings):
                async with asyncio.timeout(self._timeout_s):
                    return await _until_settled(attempt, forget)
        except kafka.UnknownError as error:  # the broker's own trouble, which no setting mends
            raise BrokerUnavailable(explain(self._settings, error)) from error
        except kafka.KafkaError as error:
            raise UsageError(f"Kafka refuses: {type(error).__name__} ({error})") from error


async def _until_settled(attempt: Callable[[], Awaitable[R]], forget: Callable[[], None]) -> R:
    trouble: kafka.KafkaError | None = None
    try:
        while True:
            try:
                return await attempt()
            except kafka.KafkaError as error:
                if not error.retriable or isinstance(error, kafka.KafkaConnectionError):
                    raise
                trouble = error
            forget()
            await asyncio.sleep(_AGAIN_S)
    except TimeoutError:
        if trouble is not None:
            raise trouble from None
        raise


@asynccontextmanager
async def open_asking(settings: KafkaSettings, *, timeout_s: float) -> AsyncIterator[Asking]:
    """Connected, and closed at the end. Raises BrokerUnavailable, and UsageError when no broker is named."""
    async with open_client(settings, timeout_s=timeout_s) as client:
        yield Asking(settings, client, timeout_s)


def check(code: int, what: str) -> None:
    """Raises what the code means: UsageError for a permission that is missing, else aiokafka's error."""
    if not code:
        return
    error = kafka.for_code(code)
    if error in (kafka.GroupAuthorizationFailedError, kafka.TopicAuthorizationFailedError):
        raise UsageError(
            f"no permission to look at {what}: it needs the operation DESCRIBE on that {what.split(maxsplit=1)[0]}"
        )
    raise error(f"{what}: {error.description}")
