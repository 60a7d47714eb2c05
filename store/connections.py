"""Connections to PostgreSQL: the pool, how long anything may take, and what happens when nobody answers."""

import asyncio
import math
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from store.address import Address
from store.outages import Patience, outages
from telemetry import Metrics

_POOL_SIZE = 8
_POOL_TIMEOUT_S = 3.0
"""Who waits for longer says so: a person on call must be told within ten seconds."""
_CHECK_S = 2.0
_RECONNECT_S = 1.0
_GRACE_S = 5.0
"""What an operation may take beyond the server's own limit for one statement."""


class Connections:
    """Lends connections, one an operation."""

    def __init__(self, pool: AsyncConnectionPool, address: Address, limit_s: float, metrics: Metrics) -> None:
        self._pool = pool
        self.address = address
        self._limit_s = limit_s
        self._metrics = metrics

    @asynccontextmanager
    async def use(self, operation: str, *, wait_s: float = _POOL_TIMEOUT_S) -> AsyncIterator[AsyncConnection]:
        """A connection in autocommit mode. Raises StoreUnavailable for what the body meets as an outage."""
        with self._metrics.store_seconds.labels(operation=operation).time(), outages(self.address):
            connection = await self._lend(wait_s)
            try:
                with hang_up_after(connection, self._limit_s):
                    yield connection
            except psycopg.errors.ReadOnlySqlTransaction:
                # The server became a standby: this connection would go on to reach it, a new one may not.
                await connection.close()
                raise
            finally:
                await self._pool.putconn(connection)

    async def _lend(self, wait_s: float) -> AsyncConnection:
        """A connection that answers. The pool's own check would pause between one dead connection and the next."""
        deadline = time.monotonic() + wait_s
        while True:
            left_s = max(0.0, deadline - time.monotonic())
            try:
                connection = await self._pool.getconn(min(left_s, _RECONNECT_S))
            except PoolTimeout:
                # Where connecting failed the pool rests until it is asked again: who waited on would sleep through it.
                if left_s > _RECONNECT_S:
                    continue
                raise
            try:
                with hang_up_after(connection, _CHECK_S):
                    await connection.execute("")
            except psycopg.Error:
                await connection.close()
                await self._pool.putconn(connection)
            except BaseException:
                await self._pool.putconn(connection)
                raise
            else:
                return connection


@asynccontextmanager
async def open_pool(address: Address, statement_timeout_s: float, metrics: Metrics) -> AsyncIterator[Connections]:
    """A pool that connects when it is asked to, and again after an outage."""
    pool = AsyncConnectionPool(
        address.conninfo,
        kwargs={"autocommit": True},
        min_size=1,
        max_size=_POOL_SIZE,
        timeout=_POOL_TIMEOUT_S,
        # Whoever asks next begins a new attempt: so the first one after an outage does not wait for a long pause's end.
        reconnect_timeout=_RECONNECT_S,
        configure=_configure,
        name="streamscorer",
        open=False,
    )
    async with pool:
        yield Connections(pool, address, statement_timeout_s + _GRACE_S, metrics)


async def first_connection(address: Address, timeout_s: float) -> AsyncConnection:
    """Waits for the server. Raises DependencyAway past the deadline, UsageError for what waiting cannot mend."""
    patience = Patience(address, timeout_s)
    while True:
        limit_s = max(1, min(5, math.ceil(patience.left_s)))
        try:
            return await AsyncConnection.connect(address.conninfo, autocommit=True, connect_timeout=limit_s)
        except psycopg.OperationalError as error:
            await asyncio.sleep(patience.pause_s(error))


@contextmanager
def hang_up_after(connection: AsyncConnection, limit_s: float) -> Iterator[None]:
    """Ends the body with OperationalError after `limit_s`, also where the peer keeps the line open and says nothing.

    The socket is shut under the driver's hands: cancelling the task would make the driver ask the silent server to
    cancel, and wait for that.
    """

    def hang_up() -> None:
        with suppress(OSError, psycopg.OperationalError), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    timer = asyncio.get_running_loop().call_later(limit_s, hang_up)
    try:
        yield
    finally:
        timer.cancel()


async def _configure(connection: AsyncConnection) -> None:
    # A second look in the same transaction must see what others have committed since the first.
    await connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
