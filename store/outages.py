"""Which errors of PostgreSQL are the world's fault, and how they are told: never with a password."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg_pool import PoolTimeout

from errors import DependencyAway, StoreUnavailable, UsageError
from store.address import VARIABLE, Address

# Classes: connection, rolled back, resources, operator, system. States: object in use, read-only, idle or long
# transaction ended, password, database or right refused (changed while we run).
_OUTAGES = ("08", "40", "53", "57", "58", "55006", "55P03", "25006", "25P03", "25P04", "28", "3D000", "42501")
# libpq gives no SQLSTATE for a connection that was refused, only the server's words.
_REFUSALS = (
    "authentication failed",
    "does not exist",
    "no pg_hba.conf entry",
    "no password supplied",
    "not permitted to log in",
    "permission denied for database",
    "does not support SSL",
    "certificate verify failed",
    "unrecognized configuration parameter",
    "invalid value for parameter",
    "invalid port number",
    "invalid integer value",
)
_PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.0)


def is_outage(error: psycopg.Error) -> bool:
    """True where trying again later may help; False for a bug (or data that the store should have mended)."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith(_OUTAGES)


def words(error: psycopg.Error) -> str:
    """The reason in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].removeprefix("connection failed: ") if lines else type(error).__name__


@contextmanager
def outages(address: Address) -> Iterator[None]:
    """Turns outages into StoreUnavailable; anything else passes as it is: a bug."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreUnavailable(
            f"PostgreSQL at {address.name} does not answer, or all connections to it are busy: {words(error)}"
        ) from error
    except psycopg.Error as error:
        if not is_outage(error):
            raise
        verb = "does not answer" if error.sqlstate is None else "cannot serve"
        raise StoreUnavailable(f"PostgreSQL at {address.name} {verb}: {words(error)}") from error


class Patience:
    """How long a start waits for PostgreSQL, and which refusals end it at once."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._pauses = iter(_PAUSES_S)

    @property
    def left_s(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def pause_s(self, error: psycopg.Error) -> float:
        """Seconds until the next attempt. Raises UsageError for a refusal, DependencyAway past the deadline."""
        name, reason = self._address.name, words(error)
        if any(refusal in reason for refusal in _REFUSALS):
            raise UsageError(f"PostgreSQL at {name} refuses us: {reason}; check {VARIABLE}") from None
        if self.left_s == 0:
            raise DependencyAway(
                f"PostgreSQL at {name} ({VARIABLE}) did not answer within {self._timeout_s:g} s: {reason}"
            ) from None
        return min(next(self._pauses, _PAUSES_S[-1]), self.left_s)
