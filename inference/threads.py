"""Threads that serve as long as the core is open, and what follows when one of them ends before its time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager


class InferenceThreadDied(RuntimeError):
    """A thread of the core ended; nothing can be scored until the process starts again. A bug."""


def died(who: str, death: BaseException) -> InferenceThreadDied:
    """To be told to whoever waits."""
    error = InferenceThreadDied(f"{who} died: {death!r}; see the log")
    error.__cause__ = death
    return error


@asynccontextmanager
async def serving(
    name: str,
    threads: int,
    serve: Callable[[], None],
    ended: Callable[[BaseException | None], None],
    before: Callable[[], None] = lambda: None,
) -> AsyncIterator[None]:
    """`before` in a thread, then `serve` in so many; at the end wait until each `serve` has returned.

    `ended` is called on the event loop whenever one returns, with its exception if there is one.
    """
    loop = asyncio.get_running_loop()
    executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
    try:
        await loop.run_in_executor(executor, before)
        lives = [loop.run_in_executor(executor, serve) for _ in range(threads)]
        for life in lives:
            life.add_done_callback(lambda life: ended(life.exception()))
        try:
            yield
        finally:
            await asyncio.wait(lives)
    finally:
        executor.shutdown(wait=False)
