"""Waiting on a condition, with a deadline."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any


async def eventually(condition: Callable[[], Any], what: str = "", *, within_s: float = 60.0) -> Any:
    """The first truthy result of `condition`, plain or awaited; fails after the deadline with the last one."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        result = condition()
        if inspect.isawaitable(result):
            result = await result
        if result:
            return result
        assert asyncio.get_running_loop().time() < deadline, (
            f"not within {within_s:g} s: {what or condition!r}, last seen {result!r}"
        )
        await asyncio.sleep(0.01)
