"""`dlq redrive`, `dlq discard`: decide what becomes of dead letters, one at a time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from cli.actors import actor
from cli.dlq_filters import AsJson, RecordTime, place_of, the_one_at, with_dead_letter_filters
from cli.options import with_settings
from cli.patience import patiently
from cli.payloads import open_payloads
from cli.resolving import Discard, Redrive, Told, tell_each
from errors import UsageError
from schemas.dead_letters import DeadLetterFilter, Resolution, StoredDeadLetter
from settings import KafkaSettings, Settings, StoreSettings

if TYPE_CHECKING:
    from store.dead_letters import Place, Verdict
    from store.store import Store

Named = Annotated[list[str] | None, typer.Argument(metavar="TOPIC PARTITION OFFSET", show_default=False)]
Everything = Annotated[bool, typer.Option("--all", help="All that are unresolved; instead of a filter.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Which dead letters: the one at a place, or all unresolved ones that match."""

    place: "Place | None"
    where: DeadLetterFilter

    async def letters(self, store: "Store", cluster: str | None = None) -> AsyncIterator[StoredDeadLetter]:
        """Oldest first, of one cluster or of all; what is dead-lettered meanwhile does not come."""
        if self.place is not None:
            yield await the_one_at(store, self.place)
            return
        where = self.where.model_copy(update={"unresolved": True, "cluster": cluster})
        async for chunk in store.iterate_dead_letters(where, "oldest"):
            for letter in chunk:
                yield letter

    def verdict(self, resolution: Resolution, action: str) -> "Verdict":
        """With what the audit keeps of the choice."""
        from store.dead_letters import Verdict

        chosen = {} if self.place else {"filters": self.where.model_dump(mode="json", exclude_defaults=True)}
        return Verdict(resolution, actor(), action, chosen)


@with_settings(KafkaSettings, StoreSettings, "start_timeout_s")
@with_dead_letter_filters
def redrive(
    where: DeadLetterFilter,
    settings: Settings,
    named: Named = None,
    record_time: RecordTime = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> int:
    """Send dead letters back to the topic that they came from.

    As they were, with two headers more: where they stood first, and how often they were delivered. Oldest first; of
    this Kafka cluster alone. What is resolved already stays as it is: a second run does nothing.
    """
    chosen = _choose(where, named, record_time, everything=everything)
    return asyncio.run(_redrive(settings, chosen, dry_run=dry_run, as_json=as_json))


@with_settings(StoreSettings, "start_timeout_s")
@with_dead_letter_filters
def discard(
    where: DeadLetterFilter,
    settings: Settings,
    named: Named = None,
    record_time: RecordTime = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> int:
    """Mark dead letters as dealt with.

    They stay in the table. What is resolved already stays as it is.
    """
    chosen = _choose(where, named, record_time, everything=everything)
    return asyncio.run(_discard(settings, chosen, dry_run=dry_run, as_json=as_json))


async def _redrive(settings: Settings, chosen: _Chosen, *, dry_run: bool, as_json: bool) -> int:
    from broker.publisher import open_publisher
    from broker.topics import inspect
    from store.store import open_store
    from telemetry import Metrics

    async with (
        open_store(settings, Metrics(), start_timeout_s=settings.start_timeout_s) as store,
        open_publisher(settings) as publisher,
        open_payloads(settings, store) as payloads,
    ):
        cluster = await patiently(lambda: inspect(settings, []), settings.start_timeout_s)
        verdict = chosen.verdict("redriven", "dlq redrive")
        redrive_one = Redrive(store, publisher, payloads, verdict, cluster.id, dry_run)

        async def act(letter: StoredDeadLetter) -> Told:
            return await patiently(lambda: redrive_one(letter), settings.start_timeout_s)

        return await tell_each(chosen.letters(store, cluster.id), act, as_json=as_json)


async def _discard(settings: Settings, chosen: _Chosen, *, dry_run: bool, as_json: bool) -> int:
    from store.store import open_store
    from telemetry import Metrics

    async with open_store(settings, Metrics(), start_timeout_s=settings.start_timeout_s) as store:
        act = Discard(store, chosen.verdict("discarded", "dlq discard"), dry_run)
        return await tell_each(chosen.letters(store), act, as_json=as_json)


def _choose(where: DeadLetterFilter, named: list[str] | None, record_time: str | None, *, everything: bool) -> _Chosen:
    filtered = where != DeadLetterFilter()
    if bool(named) + filtered + everything != 1:
        raise UsageError("say which dead letters: TOPIC PARTITION OFFSET, or filters, or --all; one of the three")
    if record_time is not None and not named:
        raise UsageError("--record-time belongs to TOPIC PARTITION OFFSET; --since and --until choose by time")
    return _Chosen(place_of(named, record_time) if named else None, where)
