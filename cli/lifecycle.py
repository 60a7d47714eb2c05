"""The life of a process: run until a signal, drain, and leave with the right exit code."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from cli.exits import INTERRUPTED, TERMINATED, say_warning

_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


def run_until_signal(main: Callable[[asyncio.Event], Coroutine[Any, Any, int]]) -> int:
    """Run `main(stop)` in an event loop; its exit code.

    The first SIGINT or SIGTERM sets `stop`, the second one ends the process at once (130 or 143). `main` may set `stop`
    itself: that is no signal. Of failures that come in a group the one that explains the others is raised alone.
    """

    async def supervised() -> int:
        stop, signalled = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _CODES:
            loop.add_signal_handler(number, _on_signal, number, stop, signalled)
        try:
            return await asyncio.create_task(main(stop), name="main")
        except asyncio.CancelledError:
            if not stop.is_set():
                raise
            return 0  # stopped while it started: nothing was in flight

    try:
        return asyncio.run(supervised())
    except BaseExceptionGroup as group:
        raise _cause(group) from group


@asynccontextmanager
async def starting(stop: asyncio.Event) -> AsyncIterator[None]:
    """Around a start, which may wait long for Kafka or PostgreSQL: a signal ends it at once."""
    starter = asyncio.current_task()
    assert starter is not None

    async def watch() -> None:
        await stop.wait()
        starter.cancel()

    watcher = asyncio.create_task(watch(), name="stop-start")
    try:
        yield
    finally:
        watcher.cancel()


def _on_signal(number: signal.Signals, stop: asyncio.Event, signalled: asyncio.Event) -> None:
    if signalled.is_set():
        say_warning(f"second {number.name}: leaving without the drain; what was in flight will be delivered again")
        sys.stdout.flush()
        os._exit(_CODES[number])
    signalled.set()
    stop.set()


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    leaves: list[BaseException] = []
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((leaf for leaf in leaves if not isinstance(leaf, asyncio.CancelledError)), group)
