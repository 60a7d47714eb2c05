"""`migrate` and `topics create`: what the other commands find missing."""

import asyncio
from typing import Annotated

import typer

from cli.options import with_settings
from cli.output import line
from cli.patience import patiently
from errors import UsageError
from settings import KafkaSettings, Settings, StoreSettings


@with_settings(StoreSettings, "start_timeout_s")
def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date.

    Safe to run at any time, and several times at once.
    """
    from store.migrations import migrate as apply

    if settings.database_url is None:
        raise UsageError("SCORER_DATABASE_URL is not set: give postgresql://user:password@host:port/database")
    applied = apply(settings.database_url.get_secret_value(), timeout_s=settings.start_timeout_s)
    for revision in applied:
        line(f"applied {revision}")
    if not applied:
        line("the schema is up to date")


@with_settings(KafkaSettings, "start_timeout_s", "max_image_bytes")
def create_topics(
    settings: Settings,
    partitions: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Of the input and scores topics; grows those that are there.")
    ] = None,
    replication_factor: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Of new topics (default: the broker's).")
    ] = None,
) -> None:
    """Create the topics: input, dead letters and, where set, scores.

    Topics that are there keep their data; one with more partitions than asked for is an error, since none can shrink.
    """
    from broker import topics

    async def create() -> list[str]:
        return await topics.create_topics(
            settings,
            max_image_bytes=settings.max_image_bytes,
            partitions=partitions,
            replication_factor=replication_factor,
        )

    for done in asyncio.run(patiently(create, settings.start_timeout_s)):
        line(done)
