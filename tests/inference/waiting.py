"""Waiting on a condition, with a deadline."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], deadline_s: float = 20) -> None:
    """Return once `condition()` holds. Raises TimeoutError."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110  (what is watched lives on another thread)
            await asyncio.sleep(0.001)
