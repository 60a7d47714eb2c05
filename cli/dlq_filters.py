"""Which dead letters: conditions as options, and TOPIC PARTITION OFFSET as arguments."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Concatenate, Final, ParamSpec

import typer

from cli.filters import moment, with_options_of
from errors import CommandFailed, UsageError
from schemas.dead_letters import DeadLetterFilter, StoredDeadLetter

if TYPE_CHECKING:
    from store.dead_letters import Place
    from store.store import Store

P = ParamSpec("P")
_HELP: Final = {
    "reason": "Refused for this reason, e.g. InvalidImage.",
    "topic": "From this topic.",
    "partition": "From this partition.",
    "since": "Refused at this time or later (ISO 8601; UTC where no zone is given).",
    "until": "Refused before this time (ISO 8601; UTC where no zone is given).",
}
RecordTime = Annotated[
    str | None, typer.Option(metavar="TIME", help="Timestamp of the record, where its place names several.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")]


def with_dead_letter_filters(
    command: Callable[Concatenate[DeadLetterFilter, P], int | None],
) -> Callable[P, int | None]:
    """Give the command the options of DeadLetterFilter, and a DeadLetterFilter as its first argument."""

    return with_options_of(DeadLetterFilter, _HELP, command)


def place_of(named: list[str], record_time: str | None) -> "Place":
    """TOPIC PARTITION OFFSET as they were written. Raises UsageError."""
    from store.dead_letters import Place

    if len(named) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in named[1:]):
        raise UsageError(f"{' '.join(named)}: give TOPIC PARTITION OFFSET, the last two as numbers")
    topic, partition, offset = named
    time = None if record_time is None else moment("record-time", record_time)
    return Place(topic, int(partition), int(offset), time)


async def the_one_at(store: "Store", place: "Place") -> StoredDeadLetter:
    """The dead letter that `place` names. Raises CommandFailed where there is none, UsageError where there are several.

    A topic that was deleted and made again has other records at the same offsets.
    """
    found = await store.dead_letters_at(place)
    if not found:
        raise CommandFailed(
            f"no dead letter at {place.topic} {place.partition} {place.offset}; "
            "`streamscorer dlq list --all` shows which there are"
        )
    if len(found) > 1:
        known = ", ".join(f"{one.record_time.isoformat()} (cluster {one.cluster})" for one in found)
        raise UsageError(f"{found[0].name} names {len(found)} records: give --record-time with one of {known}")
    return found[0]
