"""Is the database at the revision that this code needs? Asked at each start, without loading alembic."""

import psycopg

from errors import UsageError
from store import queries
from store.address import Address
from store.migrations import HEAD

_MEND = "run `streamscorer migrate`"


async def check_schema(connection: psycopg.AsyncConnection, address: Address) -> str:
    """Name of the schema that the search_path leads to. UsageError where its tables are not those we need."""
    found = await (await connection.execute(queries.SCHEMA)).fetchone()
    schema, versions = found or (None, None)
    where = f"PostgreSQL at {address.name}"
    if schema is None:
        raise UsageError(f"{where}: the search_path names no schema that exists and that we may use")
    if versions is None:
        raise UsageError(f"{where}: database schema {schema!r} has no tables of ours: {_MEND}")
    rows = await (await connection.execute(queries.REVISION)).fetchall()
    revision = rows[0][0] if rows else "nothing"
    if revision != HEAD:
        newer = rows and revision > HEAD
        mend = "install that version of streamscorer, or a newer one" if newer else _MEND
        raise UsageError(f"{where}: database schema is at {revision}, this version needs {HEAD}: {mend}")
    if (await (await connection.execute(queries.RESTORED)).fetchone()) == (True,):
        raise UsageError(f"{where}: its rows were restored from a dump and carry another server's numbers: {_MEND}")
    return str(schema)
