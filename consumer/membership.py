"""Joining the group, bounded in time whatever Kafka does."""

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from broker.failures import explain
from consumer.waits import backoff_s
from errors import DependencyAway
from settings import ConsumerSettings

_AGAIN_S = 0.5


async def join(consumer: AIOKafkaConsumer, settings: ConsumerSettings) -> None:
    """Connect as soon as Kafka lets us.

    Raises DependencyAway after START_TIMEOUT_S, and at once for what does not pass by itself.
    """
    trouble: Exception | None = None
    try:
        async with asyncio.timeout(settings.start_timeout_s):
            for attempt in itertools.count():
                try:
                    await consumer.start()
                except (KafkaError, OSError) as error:
                    if isinstance(error, KafkaError) and not error.retriable:
                        raise DependencyAway(explain(settings, error)) from error
                    trouble = error
                else:
                    return
                await asyncio.sleep(backoff_s(attempt))
    except TimeoutError as error:
        raise DependencyAway(explain(settings, trouble or error)) from error


async def unless(stopping: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work. False where `stopping` comes first, which ends it."""
    working = asyncio.create_task(work, name="start")
    watching = asyncio.create_task(stopping.wait(), name="stop-start")
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        return not stopping.is_set()
    finally:
        await end(working, watching)


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel them, and again until they are over; their failures are the caller's to look at.

    Once is not enough: Python 3.11's `asyncio.wait_for`, which our clients use, forgets a cancellation that comes
    together with what it waits for.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_AGAIN_S)
