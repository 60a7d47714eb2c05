"""The life of a process: run until a signal, drain, and leave with the right exit code."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from cli.exits import FAILED, INTERRUPTED, TERMINATED, say_warning

_SAY_S = 1.0
_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


def run_until_signal(
    main: Callable[[asyncio.Event], Coroutine[Any, Any, int]], *, leave_within_s: float | None = None
) -> int:
    """Run `main(stop)` in an event loop; its exit code.

    The first SIGINT or SIGTERM sets `stop`, the second one ends the process at once (130 or 143). `main` may set `stop`
    itself: that is no signal. `leave_within_s` after `stop` the process ends with 1, whatever hangs: a thread in an
    engine or in a driver can't be cancelled. Of failures that come in a group the one that explains the others is
    raised alone.
    """

    async def supervised() -> int:
        stop, signalled = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _CODES:
            loop.add_signal_handler(number, _on_signal, number, stop, signalled)
        leaving = asyncio.create_task(_leave_in_time(stop, leave_within_s), name="leave-in-time")
        try:
            return await asyncio.create_task(main(stop), name="main")
        except asyncio.CancelledError:
            if not stop.is_set():
                raise
            return 0  # stopped while it started: nothing was in flight
        finally:
            leaving.cancel()

    import uvloop  # not for commands that only print something

    try:
        return uvloop.run(supervised())
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


async def _leave_in_time(stop: asyncio.Event, limit_s: float | None) -> None:
    await stop.wait()
    if limit_s is None:
        return
    last_resort = threading.Timer(limit_s, _leave_at_once, (limit_s,))
    last_resort.daemon = True  # it outlives the loop: the interpreter's end waits for threads that may hang
    last_resort.start()


def _leave_at_once(limit_s: float) -> None:
    # Saying so may block as well, on a pipe that nobody reads.
    silently = threading.Timer(_SAY_S, os._exit, (FAILED,))
    silently.daemon = True
    silently.start()
    say_warning(f"did not end within {limit_s:g} s of the stop; what was in flight will be delivered again")
    sys.stdout.flush()
    os._exit(FAILED)


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
