"""The database URL, read by libpq's own rules: what to connect with, and the name that messages may show."""

import math
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from errors import UsageError

VARIABLE = "SCORER_DATABASE_URL"
_SHAPE = "postgresql://user:password@host:port/database"
_CONNECT_TIMEOUT_S = 5
# A peer that vanished without a word is noticed after 10 + 3 x 5 seconds; one that is slow to acknowledge after 30.
_KEEPALIVES = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where PostgreSQL is. `name` is host:port/database without user and password."""

    name: str
    conninfo: str = field(repr=False)


def read_address(url: str | None, *, statement_timeout_s: float | None = None) -> Address:
    """What `url` says, completed with timeouts and UTC; what the URL itself sets (search_path, sslmode) is kept.

    Raises UsageError for a URL that is missing or cannot be read; the message never repeats it (it holds a password).
    """
    if not url:
        raise UsageError(f"{VARIABLE} is not set: write {_SHAPE}")
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise UsageError(
            f"{VARIABLE} cannot be read: write {_SHAPE}, with special characters of the password percent-encoded"
        ) from None
    host = str(given.get("host") or given.get("hostaddr") or "")
    if "@" in host:
        raise UsageError(f"{VARIABLE} has an @ in its user or password: write it as %40")
    # Tables grow from nothing to millions of rows: a plan kept from the first day would read them from end to end.
    options = f"{given.get('options') or ''} -c TimeZone=UTC -c jit=off -c plan_cache_mode=force_custom_plan"
    if statement_timeout_s is not None:
        # The second one ends a client that died half-way in a transaction: readers in order of commit wait for it.
        limit_ms = math.ceil(statement_timeout_s * 1000)
        options += f" -c statement_timeout={limit_ms} -c idle_in_transaction_session_timeout={limit_ms}"
    ours: dict[str, Any] = {"connect_timeout": _CONNECT_TIMEOUT_S, "application_name": "streamscorer", **_KEEPALIVES}
    settings = {**ours, **given, "options": options.strip()}
    where = f"{host or 'localhost'}:{given.get('port') or 5432}/{given.get('dbname') or given.get('user') or ''}"
    return Address(name=where, conninfo=make_conninfo(**settings))
