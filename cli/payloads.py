"""The values of dead letters: from the row, else from the topic of dead letters, else from where the record stood."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from cli.patience import patiently
from errors import CommandFailed
from schemas.dead_letters import StoredDeadLetter
from settings import Settings

if TYPE_CHECKING:
    from broker.reading import Reader
    from schemas.records import Record
    from store.store import Store


class Payloads:
    """Connects to Kafka only once a value is asked for that the row does not keep."""

    def __init__(self, settings: Settings, store: "Store", stack: AsyncExitStack) -> None:
        self._settings = settings
        self._store = store
        self._stack = stack
        self._reader: Reader | None = None

    async def of(self, letter: StoredDeadLetter) -> bytes:
        """The refused value as it was. Raises CommandFailed, with the reason, where nobody has it any more."""
        if letter.value_size is None:
            raise CommandFailed("Kafka could not hand the record over, so there is no value to keep")
        value = await self._store.dead_letter_value(letter)
        if value is None:
            value = await patiently(lambda: self._from_kafka(letter), self._settings.start_timeout_s)
        if value is None:
            where = "no topic of dead letters" if letter.dlq is None else letter.dlq.topic
            raise CommandFailed(
                f"its {letter.value_size} bytes are gone: neither {where} nor {letter.topic} has them any more "
                "(retention, or too large for the topic of dead letters)"
            )
        return value

    async def _from_kafka(self, letter: StoredDeadLetter) -> bytes | None:
        if self._reader is None:
            from broker.reading import open_reader

            self._reader = await self._stack.enter_async_context(open_reader(self._settings))
        if letter.dlq is not None:
            copy = await self._reader.read(letter.dlq.topic, letter.dlq.partition, letter.dlq.offset)
            if copy is not None and _is_copy(copy, letter):
                return copy.value
        original = await self._reader.read(letter.topic, letter.partition, letter.offset)
        if original is not None and original.at.record_time == letter.record_time and _is_whole(original, letter):
            return original.value
        return None


@asynccontextmanager
async def open_payloads(settings: Settings, store: "Store") -> AsyncIterator[Payloads]:
    """Closed at the end, if it was ever opened."""
    async with AsyncExitStack() as stack:
        yield Payloads(settings, store, stack)


def _is_copy(record: "Record", letter: StoredDeadLetter) -> bool:
    """Whether this is the dead letter's whole record: a topic made anew has others at the same offsets."""
    said = dict(record.headers)
    stood = tuple(said.get(f"__dlq.errors.{name}") for name in ("topic", "partition", "offset"))
    return _is_whole(record, letter) and stood == tuple(
        str(part).encode() for part in (letter.topic, letter.partition, letter.offset)
    )


def _is_whole(record: "Record", letter: StoredDeadLetter) -> bool:
    return record.value is not None and len(record.value) == letter.value_size
