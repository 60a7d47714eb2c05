"""From aiokafka's record to ours."""

from aiokafka import ConsumerRecord

from schemas.records import Coordinates, Headers, Record


def record_of(cluster: str, raw: "ConsumerRecord[bytes, bytes]") -> Record:
    """The record with the coordinates that name it for good. A header's null value becomes empty bytes."""
    headers: Headers = tuple(raw.headers)
    for _, content in headers:
        if content is None:
            headers = tuple((name, value or b"") for name, value in headers)
            break
    return Record(
        at=Coordinates(cluster, raw.topic, raw.partition, raw.offset, raw.timestamp),
        key=raw.key,
        value=raw.value,
        headers=headers,
    )
