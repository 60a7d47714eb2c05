"""`pause`, `resume`: let the consumers of the group poll nothing, and let them go on."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cli.actors import actor
from cli.exits import say_warning
from cli.options import with_settings
from cli.output import line, printable
from cli.patience import patiently
from settings import KafkaSettings, Settings, StoreSettings

if TYPE_CHECKING:
    from store.groups import Group

Why = Annotated[str | None, typer.Option(metavar="TEXT", help="Kept in the audit, and shown wherever the group waits.")]


@with_settings(KafkaSettings, StoreSettings, "start_timeout_s")
def pause(settings: Settings, why: Why = None) -> None:
    """Let the group's consumers poll nothing more until `resume`.

    They keep their partitions, and finish and commit what is in flight. It holds for consumers that start later, too.
    """
    asyncio.run(_pause(settings, why))


@with_settings(KafkaSettings, StoreSettings, "start_timeout_s")
def unpause(settings: Settings) -> None:
    """End the pause of the group.

    `dlq resume` is for a group that the limit on dead letters has stopped.
    """
    asyncio.run(_unpause(settings))


async def _pause(settings: Settings, why: str | None) -> None:
    from store.store import open_store
    from telemetry import Metrics

    group = await _group(settings)
    async with open_store(settings, Metrics(), start_timeout_s=settings.start_timeout_s) as store:
        held, new = await store.pause_group(group, actor(), why)
    line(printable(f"{_name(group)} is {'now' if new else 'already'} {held}"))


async def _unpause(settings: Settings) -> None:
    from store.store import open_store
    from telemetry import Metrics

    group = await _group(settings)
    async with open_store(settings, Metrics(), start_timeout_s=settings.start_timeout_s) as store:
        ended = await store.unpause_group(group, actor())
        stop = await store.stopped(group)
    line(f"{_name(group)} {'may go on' if ended else 'was not paused'}")
    if stop is not None:
        say_warning(
            f"the limit on dead letters has stopped it since {stop.at:%Y-%m-%dT%H:%M:%SZ}: {stop.why}; "
            "`streamscorer dlq resume` lets it go on"
        )


async def _group(settings: Settings) -> "Group":
    """Raises UsageError where there is no such topic. A group need not exist: it begins with its first consumer."""
    from broker.topics import inspect
    from store.groups import Group

    cluster = await patiently(lambda: inspect(settings, [settings.kafka_topic]), settings.start_timeout_s)
    return Group(cluster.id, settings.kafka_topic, settings.kafka_group_id)


def _name(group: "Group") -> str:
    return f"group {group.group_id} on topic {group.topic}"
