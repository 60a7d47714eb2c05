"""Committed offsets of a group, with the metadata that stands beside them (the consumer's own client hides it)."""

from collections.abc import Collection

from aiokafka import TopicPartition

from broker.clients import open_admin
from broker.failures import kafka_failures
from errors import BrokerUnavailable
from settings import KafkaSettings


async def committed_offsets(
    settings: KafkaSettings, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, tuple[int, str]]:
    """Offset and metadata of each of `partitions` that the group KAFKA_GROUP_ID has committed, without the others.

    Raises BrokerUnavailable, and KafkaError for what does not pass by itself.
    """
    async with open_admin(settings) as admin:
        with kafka_failures(settings):
            found = await admin.list_consumer_group_offsets(settings.kafka_group_id, partitions=list(partitions))
    if missing := set(partitions) - found.keys():
        # A coordinator that is moving answers with an error that the client overlooks, and with no partitions at all.
        raise BrokerUnavailable(f"the group's coordinator does not tell the offsets of {len(missing)} partitions")
    return {tp: (at.offset, at.metadata) for tp, at in found.items() if at.offset >= 0}
