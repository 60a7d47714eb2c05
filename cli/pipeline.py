"""Many pieces of work at once, bounded, with their results in order."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")
_END: Final = object()


async def in_order(
    items: Iterable[T], work: Callable[[T], Coroutine[Any, Any, R]], at_once: int, *, per_second: float | None = None
) -> AsyncGenerator[R, None]:
    """`work(item)` for each item, at most `at_once` in flight or waiting to be taken; results in the items' order.

    Items are drawn in a thread, since they come from disk. `per_second`: start no more than that. The first exception
    of `work` ends it all; leave early under `contextlib.aclosing`, which cancels what flies.
    """
    clock = asyncio.get_running_loop().time
    source = iter(items)
    flying: deque[asyncio.Task[R]] = deque()
    begun, drawn, drained = clock(), 0, False
    try:
        while True:
            while not drained and len(flying) < at_once and not (flying and flying[0].done()):
                if per_second is not None:
                    await asyncio.sleep(begun + drawn / per_second - clock())
                item: Any = await asyncio.to_thread(next, source, _END)
                drained = item is _END
                if not drained:
                    drawn += 1
                    flying.append(asyncio.create_task(work(item)))
            if not flying:
                return
            yield await flying.popleft()
    finally:
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)
