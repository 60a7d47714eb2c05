"""Brings the tables of one schema to the revision that this version of the code needs.

The schema is the first one of the URL's search_path. Importing this package is cheap; alembic is loaded by `migrate`.
"""

import math
import time
from pathlib import Path

import psycopg

from errors import DependencyAway, UsageError
from store import queries
from store.address import Address, read_address
from store.outages import Patience, is_outage, words

HEAD = "0003"
"""The newest revision in versions/."""
VERSION_TABLE = "streamscorer_schema"


def migrate(database_url: str, *, timeout_s: float) -> list[str]:
    """Applies what is missing and returns the revisions applied, oldest first; none when there was nothing to do.

    Waits up to `timeout_s` for the server, and for another process that is migrating the same schema. All or nothing.
    Raises DependencyAway past the deadline, UsageError where trying again would not help (password, database,
    permissions, a schema that is newer than this version).
    """
    address = read_address(database_url)
    patience = Patience(address, timeout_s)
    with _connect(address, patience) as connection:
        try:
            _lock(connection, address, patience)
            return _upgrade(connection, address)
        except psycopg.errors.InsufficientPrivilege as error:
            raise UsageError(f"PostgreSQL at {address.name}: {words(error)}; grant it, or use another user") from None
        except psycopg.Error as error:
            if not is_outage(error):
                raise
            raise DependencyAway(f"PostgreSQL at {address.name} went away while migrating: {words(error)}") from None


def _connect(address: Address, patience: Patience) -> psycopg.Connection:
    while True:
        try:
            return psycopg.connect(address.conninfo)
        except psycopg.OperationalError as error:
            time.sleep(patience.pause_s(error))


def _lock(connection: psycopg.Connection, address: Address, patience: Patience) -> None:
    """Waits for its turn; the lock is the session's, so it goes with the connection however we end."""
    limit_ms = max(1, math.ceil(patience.left_s * 1000))
    connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{limit_ms}ms"])
    try:
        connection.execute("SELECT pg_advisory_lock(hashtext('streamscorer migrations'), hashtext(current_schema()))")
    except psycopg.errors.LockNotAvailable:
        raise DependencyAway(f"another process has been migrating PostgreSQL at {address.name} all the time") from None
    connection.execute("SELECT set_config('lock_timeout', '0', false)")
    connection.commit()


def _upgrade(connection: psycopg.Connection, address: Address) -> list[str]:
    import sqlalchemy
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: connection, poolclass=sqlalchemy.pool.NullPool
    )
    try:
        with engine.connect() as outer, outer.begin():
            schema = outer.exec_driver_sql("SELECT current_schema()").scalar_one()
            if schema is None:
                raise UsageError(f"PostgreSQL at {address.name}: the search_path names no schema that exists")
            options = {"version_table": VERSION_TABLE, "version_table_schema": schema}
            revision = MigrationContext.configure(outer, opts=options).get_current_revision()
            if revision is not None and revision > HEAD:
                raise UsageError(
                    f"PostgreSQL at {address.name}: database schema is at {revision}, newer than this version of "
                    f"streamscorer knows ({HEAD}): install the newer one"
                )
            missing = [step.revision for step in script.iterate_revisions("head", revision or "base")]
            config.attributes.update(connection=outer, options=options)
            command.upgrade(config, "head")
            if outer.exec_driver_sql(queries.RESTORED).scalar_one():
                outer.exec_driver_sql(queries.RENUMBER_SCORES)
                outer.exec_driver_sql(queries.RENUMBER_DEAD_LETTERS)
    except sqlalchemy.exc.DBAPIError as error:
        if error.orig is None:
            raise
        raise error.orig from None
    return missing[::-1]
