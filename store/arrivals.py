"""Wakes whoever waits for new scores: one listening connection for the whole process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import psycopg
from psycopg import AsyncConnection, sql

from store.address import Address
from store.connections import hang_up_after
from store.outages import is_outage, words
from telemetry import logger

log = logger("store")

_PAUSE_S = 1.0
_QUIET_S = 30.0
"""After so long without news the server is asked whether it is still there."""
_ANSWER_S = 5.0

Wait = Callable[[float], Awaitable[bool]]


class Arrivals:
    """Listens from the first subscriber on, and again after each lost connection.

    Whoever subscribes first and looks into the table then misses nothing: each (re)connection wakes everybody too,
    since scores may have come while nobody listened. So a wake-up says "look again", not "yours is there".
    """

    def __init__(self, address: Address, channel: str) -> None:
        self._address = address
        self._channel = channel
        self._listener: asyncio.Task[None] | None = None
        self._subscribers: set[asyncio.Event] = set()

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Wait]:
        """`await wait(timeout_s)`: True when there was news since the last wait (or the start), False on timeout."""
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen(), name="store arrivals")
            self._listener.add_done_callback(lambda _: self._wake())
        listener, news = self._listener, asyncio.Event()

        async def wait(timeout_s: float) -> bool:
            try:
                async with asyncio.timeout(timeout_s):
                    await news.wait()
            except TimeoutError:
                return False
            news.clear()
            if listener.done():
                listener.result()  # it never ends by itself: this raises what ended it
            return True

        self._subscribers.add(news)
        try:
            yield wait
        finally:
            self._subscribers.discard(news)

    async def close(self) -> None:
        """Ends the listener."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait([self._listener])

    async def _listen(self) -> None:
        away = False
        while True:
            try:
                async with await AsyncConnection.connect(self._address.conninfo, autocommit=True) as connection:
                    with hang_up_after(connection, _ANSWER_S):
                        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
                    away = False
                    await self._pass_on(connection)
            except psycopg.Error as error:
                if not is_outage(error):
                    raise
                if not away:
                    log.warning("not listening for new scores", database=self._address.name, reason=words(error))
                away = True
                await asyncio.sleep(_PAUSE_S)

    async def _pass_on(self, connection: AsyncConnection) -> None:
        while True:
            self._wake()
            async for _ in connection.notifies(timeout=_QUIET_S):
                self._wake()
            with hang_up_after(connection, _ANSWER_S):
                await connection.execute("SELECT 1")

    def _wake(self) -> None:
        for news in self._subscribers:
            news.set()
