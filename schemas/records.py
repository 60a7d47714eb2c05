"""A Kafka record as the rooms see it, and the coordinates that name it for good."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

EPOCH = datetime.fromtimestamp(0, UTC)
# A day from both ends of what datetime can carry: a reader in another time zone must be able to show it.
EARLIEST = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
LATEST = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
_EARLIEST_MS = (EARLIEST - EPOCH) // timedelta(milliseconds=1)
_LATEST_MS = (LATEST - EPOCH) // timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Where a record stands. Cluster and record time tell a topic from one that was deleted and made again."""

    cluster: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int

    @property
    def record_time(self) -> datetime:
        """The timestamp as a time. A producer may set any 64-bit number: it is kept within the years 1 to 9999."""
        if _EARLIEST_MS <= self.timestamp_ms <= _LATEST_MS:
            return EPOCH + timedelta(milliseconds=self.timestamp_ms)
        return EARLIEST if self.timestamp_ms < 0 else LATEST

    def __str__(self) -> str:
        """`<cluster>/<topic>/<partition>/<offset>/<timestamp ms>`, the value of the header `streamscorer-origin`."""
        return f"{self.cluster}/{self.topic}/{self.partition}/{self.offset}/{self.timestamp_ms}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Inverse of `str()`. Raises ValueError."""
        cluster, topic, partition, offset, timestamp_ms = text.split("/")
        return cls(cluster, topic, int(partition), int(offset), int(timestamp_ms))


Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record: untouched key, value and headers."""

    at: Coordinates
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        size = len(self.key or b"") + len(self.value or b"")
        for name, content in self.headers:
            size += len(name) + len(content)
        return size
