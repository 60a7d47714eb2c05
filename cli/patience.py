"""Waiting for Kafka at a start: again and again, until a deadline."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from errors import BrokerUnavailable, DependencyAway

R = TypeVar("R")


async def patiently(attempt: Callable[[], Awaitable[R]], timeout_s: float) -> R:
    """`attempt()`, again and again while Kafka is away, which is said once. Raises DependencyAway after `timeout_s`."""
    clock = asyncio.get_running_loop().time
    deadline, pause_s, said = clock() + timeout_s, 0.2, False
    while True:
        try:
            return await attempt()
        except BrokerUnavailable as error:
            if clock() + pause_s > deadline:
                raise DependencyAway(f"{error}; gave up after SCORER_START_TIMEOUT_S={timeout_s:g}") from error
            if not said:
                from telemetry import logger

                logger("cli").warning("waiting", part="kafka", why=str(error))
                said = True
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, 2.0)
