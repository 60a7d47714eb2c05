"""What `dlq redrive` and `dlq discard` do to one dead letter, and how they tell it."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from cli.exits import FAILED, say
from cli.output import Table, json_line
from errors import CommandFailed, InvalidEvent
from schemas.dead_letters import StoredDeadLetter

if TYPE_CHECKING:
    from broker.publisher import Publisher
    from cli.payloads import Payloads
    from store.dead_letters import Standing, Verdict
    from store.store import Store

Outcome = Literal["redriven", "discarded", "would be redriven", "would be discarded", "unchanged", "failed"]


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one dead letter, as it is printed."""

    outcome: Outcome
    topic: str
    partition: int
    offset: int
    record_time: datetime
    why: str | None


Act = Callable[[StoredDeadLetter], Awaitable[Told]]


@dataclass(frozen=True, slots=True)
class Redrive:
    """Sends one dead letter back to its topic."""

    store: "Store"
    publisher: "Publisher"
    payloads: "Payloads"
    verdict: "Verdict"
    cluster: str
    dry_run: bool

    async def __call__(self, letter: StoredDeadLetter) -> Told:
        """Published, then marked: killed in between, it goes out once more the next time, and is still decided once.

        Raises BrokerUnavailable; then it stays unresolved.
        """
        if letter.resolution is not None:
            return _left(letter, letter.resolution)
        if letter.cluster != self.cluster:
            return _told(letter, "failed", f"it is from Kafka cluster {letter.cluster}, and this is {self.cluster}")
        try:
            value = await self.payloads.of(letter)
        except CommandFailed as error:
            return _told(letter, "failed", str(error))
        if self.dry_run:
            return _told(letter, "would be redriven")
        try:
            # The row is held while Kafka takes the record: two redrives at once send it back once.
            async with self.store.resolving(letter, self.verdict) as standing:
                if standing != "open":
                    return _left(letter, standing)
                await self.publisher.publish(letter.topic, key=letter.key, value=value, headers=letter.return_headers())
        except InvalidEvent as error:
            return _told(letter, "failed", str(error))
        return _told(letter, "redriven")


@dataclass(frozen=True, slots=True)
class Discard:
    """Marks one dead letter as dealt with."""

    store: "Store"
    verdict: "Verdict"
    dry_run: bool

    async def __call__(self, letter: StoredDeadLetter) -> Told:
        if letter.resolution is not None:
            return _left(letter, letter.resolution)
        if self.dry_run:
            return _told(letter, "would be discarded")
        async with self.store.resolving(letter, self.verdict) as standing:
            return _told(letter, "discarded") if standing == "open" else _left(letter, standing)


async def tell_each(letters: AsyncIterator[StoredDeadLetter], act: Act, *, as_json: bool) -> int:
    """A line for each dead letter, and how many there were on stderr; the exit code."""
    table = Table(("outcome", 18), ("topic", 14), ("partition", 9), ("offset", 8), ("why", 0))
    counts: Counter[Outcome] = Counter()
    async for letter in letters:
        told = await act(letter)
        counts[told.outcome] += 1
        if as_json:
            json_line(asdict(told))
        else:
            table.row(told.outcome, told.topic, told.partition, told.offset, told.why or "")
    say(", ".join(f"{outcome} {count}" for outcome, count in sorted(counts.items())) or "nothing matches")
    return FAILED if counts["failed"] else 0


def _left(letter: StoredDeadLetter, standing: "Standing") -> Told:
    if standing == "busy":
        return _told(letter, "failed", "somebody else is deciding about it at this moment")
    return _told(letter, "unchanged", f"it is {standing} already")


def _told(letter: StoredDeadLetter, outcome: Outcome, why: str | None = None) -> Told:
    return Told(outcome, letter.topic, letter.partition, letter.offset, letter.record_time, why)
