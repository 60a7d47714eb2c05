"""Records that Kafka's client cannot hand over: find which partition stands before one."""

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)

from consumer.lanes import Lane
from errors import UnreadableRecord, UsageError

NOT_A_RECORD = (GroupAuthorizationFailedError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError)
"""Failures of a poll that no record is to blame for."""
_ONE_RECORD_S = 5.0


def not_a_record(error: BaseException) -> UsageError:
    """What to tell the operator about one of NOT_A_RECORD."""
    return UsageError(
        f"Kafka refuses the topic or the group ({type(error).__name__}: {error}): check that the topic exists and that "
        "the user may read it and join SCORER_KAFKA_GROUP_ID"
    )


async def find_unreadable(consumer: AIOKafkaConsumer, lanes: Iterable[Lane]) -> dict[Lane, UnreadableRecord]:
    """The lanes whose next record makes a poll fail, each with the reason.

    A failed poll does not say which partition it failed at, and may have skipped good records of the others: so all go
    back to where their lanes stand, and those with something to read are polled one by one for a single record.
    """
    found = {}
    by_partition = {lane.partition: lane for lane in lanes}
    ends = await consumer.end_offsets(list(by_partition))
    for partition, lane in by_partition.items():
        consumer.seek(partition, lane.next_offset)
    for partition, lane in by_partition.items():
        if lane.next_offset >= ends[partition]:
            continue
        try:
            async with asyncio.timeout(_ONE_RECORD_S * 2):
                await consumer.getmany(partition, timeout_ms=int(_ONE_RECORD_S * 1000), max_records=1)
        except NOT_A_RECORD as error:
            raise not_a_record(error) from error
        except Exception as error:  # noqa: BLE001  (whatever the client raises is what makes the record unreadable)
            found[lane] = UnreadableRecord(
                f"the record at offset {lane.next_offset} of partition {partition.partition} cannot be read: "
                f"{type(error).__name__}: {error}"
            )
        finally:
            consumer.seek(partition, lane.next_offset)
    return found
