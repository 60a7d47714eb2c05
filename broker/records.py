"""From aiokafka's record to ours."""

from aiokafka import ConsumerRecord

from schemas.records import Coordinates, Record


def record_of(cluster: str, raw: "ConsumerRecord[bytes, bytes]") -> Record:
    """The record with the coordinates that name it for good. A header's null value becomes empty bytes."""
    return Record(
        at=Coordinates(cluster, raw.topic, raw.partition, raw.offset, raw.timestamp),
        key=raw.key,
        value=raw.value,
        headers=tuple((name, value or b"") for name, value in raw.headers),
    )
