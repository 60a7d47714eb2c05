"""From aiokafka's record to ours."""

from aiokafka import ConsumerRecord

from schemas.records import Coordinates, Headers, Record


def record_of(cluster: str, raw: "ConsumerRecord[bytes, bytes]") -> Record:
    """The record with the coordinates that name it for good. A header's null value becomes empty bytes."""
    headers: Headers = tuple(raw.headers)
    if None in [content for _, content in headers]:
        headers = tuple((name, content or b"") for name, content in headers)
    return Record(
        at=Coordinates(cluster, raw.topic, raw.partition, raw.offset, raw.timestamp),
        key=raw.key,
        value=raw.value,
        headers=headers,
    )
