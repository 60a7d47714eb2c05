"""Records that Kafka's client cannot hand over: find which partition stands before one."""

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    ConsumerStoppedError,
    CorruptRecordException,
    GroupAuthorizationFailedError,
    KafkaError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedCodecError,
)
from aiokafka.structs import ConsumerRecord

from consumer.lanes import Lane
from errors import UnreadableRecord, UsageError

Polled: TypeAlias = "dict[TopicPartition, list[ConsumerRecord[bytes, bytes]]]"
"""Records by partition, in offset order, as Kafka's client hands them over."""

NOT_A_RECORD = (GroupAuthorizationFailedError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError)
"""Failures of a poll that no record is to blame for, and that waiting does not mend."""
_OF_A_RECORD = (CorruptRecordException, UnsupportedCodecError, RecordTooLargeError)
_OF_THE_CLIENT = (KafkaError, ConsumerStoppedError, TimeoutError)
_ONE_RECORD_S = 5.0


def not_a_record(error: BaseException) -> UsageError:
    """What to tell the operator about one of NOT_A_RECORD."""
    return UsageError(
        f"Kafka refuses the topic or the group ({type(error).__name__}: {error}): check that the topic exists and that "
        "the user may read it and join SCORER_KAFKA_GROUP_ID"
    )


def blames_a_record(error: Exception) -> bool:
    """Whether a record is why the poll failed: a poll also raises what happened to the group meanwhile.

    Of a record it raises whatever its bytes provoked.
    """
    return isinstance(error, _OF_A_RECORD) or not isinstance(error, _OF_THE_CLIENT)


async def find_unreadable(
    consumer: AIOKafkaConsumer, lanes: Iterable[Lane], deliver: Callable[[Polled], None], most: int
) -> dict[Lane, tuple[int, UnreadableRecord]]:
    """The lanes whose next record makes a poll fail, each with that record's offset and the reason.

    A failed poll does not say at which partition and record it failed, and has skipped good records: so all go back to
    where their lanes stand, and are polled one by one, record by record. What can be read goes to `deliver`, at most
    `most` records: polled together with the one behind them they would never come through.
    Raises KafkaError and TimeoutError (a rebalance) for what is not a record's fault.
    """
    found = {}
    by_partition = {lane.partition: lane for lane in lanes}
    # Before anything is awaited: a commit takes a position that is ahead for the end of control records.
    for partition, lane in by_partition.items():
        consumer.seek(partition, lane.next_offset)
    ends = await consumer.end_offsets(list(by_partition))
    for partition, lane in by_partition.items():
        share, offset = max(1, most // len(by_partition)), lane.next_offset
        try:
            while most and share and offset < ends[partition]:
                async with asyncio.timeout(_ONE_RECORD_S * 2):
                    polled = await consumer.getmany(partition, timeout_ms=int(_ONE_RECORD_S * 1000), max_records=1)
                deliver(polled)  # at once: nothing may be awaited while the position is ahead
                if not polled:
                    break
                most, share, offset = most - 1, share - 1, lane.next_offset
        except NOT_A_RECORD as error:
            raise not_a_record(error) from error
        except Exception as error:
            if not blames_a_record(error):
                raise
            found[lane] = (
                offset,
                UnreadableRecord(
                    f"the record at offset {offset} of partition {partition.partition} cannot be read: "
                    f"{type(error).__name__}: {error}"
                ),
            )
        finally:
            consumer.seek(partition, lane.next_offset)
    return found
