"""Let a group go on that the limit on dead letters has stopped."""

from broker.topics import inspect
from cli.actors import actor
from cli.patience import patiently
from settings import Settings
from store.groups import Group
from store.store import open_store
from telemetry import Metrics


async def resume_group(settings: Settings) -> tuple[Group, bool]:
    """Our group, and whether it had been stopped. Raises DependencyAway."""
    cluster = await patiently(lambda: inspect(settings, []), settings.start_timeout_s)
    group = Group(cluster.id, settings.kafka_topic, settings.kafka_group_id)
    async with open_store(settings, Metrics(), start_timeout_s=settings.start_timeout_s) as store:
        return group, await store.resume_group(group, actor())
