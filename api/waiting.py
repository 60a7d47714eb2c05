"""Wait on behalf of a caller: for a score to arrive, and only as long as somebody listens."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Request
from pydantic import Field
from starlette.requests import ClientDisconnect

if TYPE_CHECKING:
    from store.store import Store

T = TypeVar("T")
WaitSeconds = Annotated[
    float,
    Field(ge=0, allow_inf_nan=False, description="wait so long for the score (at most MAX_WAIT_S, 30 by default)"),
]


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client leaves (ClientDisconnect). The body must be read."""
    task = asyncio.create_task(work, name="request-work")
    gone = asyncio.create_task(_gone(request), name="watch-client")
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        await _end(task, gone)


async def arrival(
    store: "Store", ask: Callable[[], Awaitable[T | None]], wait_s: float, stopping: asyncio.Event
) -> T | None:
    """What `ask` finds, asked again whenever scores were written, for up to `wait_s` or until the service stops."""
    found = await ask()
    if found is not None or wait_s <= 0:
        return found
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    stop = asyncio.create_task(stopping.wait(), name="watch-stop")
    try:
        async with store.arrivals() as wait:
            while True:
                found = await ask()
                left = deadline - loop.time()
                if found is not None or left <= 0 or stop.done():
                    return found
                news = asyncio.ensure_future(wait(left))
                try:
                    await asyncio.wait({news, stop}, return_when=asyncio.FIRST_COMPLETED)
                    if news.done():
                        news.result()
                finally:
                    await _end(news)
    finally:
        await _end(stop)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel what still runs and wait until it is over; results and failures were looked at before."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
