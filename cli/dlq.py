"""`dlq list`, `dlq show`, `dlq resume`: look at dead letters, and let a stopped group go on."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.dlq_filters import AsJson, RecordTime, place_of, the_one_at, with_dead_letter_filters
from cli.exits import say
from cli.options import with_settings
from cli.output import Table, json_line, line, printable
from cli.payloads import open_payloads
from errors import CommandFailed
from schemas.dead_letters import DeadLetterFilter, StoredDeadLetter
from settings import KafkaSettings, Settings, StoreSettings

_STDOUT = Path("-")


@with_settings(StoreSettings, "start_timeout_s")
@with_dead_letter_filters
def list_dead_letters(
    where: DeadLetterFilter,
    settings: Settings,
    unresolved: Annotated[
        bool, typer.Option("--unresolved/--all", help="Only those that nothing has become of yet, or all.")
    ] = True,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most N.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest first.

    In JSON, key and header values are base64. `dlq show` gives the refused value.
    """
    asyncio.run(_list(settings, where.model_copy(update={"unresolved": unresolved}), limit, as_json=as_json))


async def _list(settings: Settings, where: DeadLetterFilter, limit: int, *, as_json: bool) -> None:
    from store.store import open_store
    from telemetry import Metrics

    table = Table(
        ("failed at", 20), ("topic", 14), ("partition", 9), ("offset", 8), ("reason", 17), ("became", 9), ("message", 0)
    )
    async with open_store(settings, Metrics(), start_timeout_s=settings.start_timeout_s) as store:
        async for chunk in store.iterate_dead_letters(where, chunk=min(limit, 500)):
            for letter in chunk[:limit]:
                if as_json:
                    json_line(letter)
                else:
                    place = (f"{letter.failed_at:%Y-%m-%dT%H:%M:%SZ}", letter.topic, letter.partition, letter.offset)
                    table.row(*place, letter.reason, letter.resolution or "-", letter.message)
            limit -= len(chunk)
            if limit <= 0:
                return


@with_settings(KafkaSettings, StoreSettings, "start_timeout_s")
def show(
    settings: Settings,
    named: Annotated[list[str], typer.Argument(metavar="TOPIC PARTITION OFFSET", show_default=False)],
    record_time: RecordTime = None,
    value: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the refused value there as it was; - is stdout, and then nothing else."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show one dead letter.

    A large value is read from the topic of dead letters, or from where the record stood.
    """
    place = place_of(named, record_time)

    async def look() -> tuple[StoredDeadLetter, bytes]:
        from store.store import open_store
        from telemetry import Metrics

        async with (
            open_store(settings, Metrics(), start_timeout_s=settings.start_timeout_s) as store,
            open_payloads(settings, store) as payloads,
        ):
            letter = await the_one_at(store, place)
            return letter, b"" if value is None else await payloads.of(letter)

    letter, payload = asyncio.run(look())
    if value == _STDOUT:
        sys.stdout.buffer.write(payload)
        sys.stdout.buffer.flush()
        return
    if value is not None:
        _write(value, payload)
    if as_json:
        json_line(letter)
        return
    for name, text in _described(letter).items():
        line(printable(f"{name:14}  {'-' if text is None else text}"))


def _write(file: Path, payload: bytes) -> None:
    try:
        file.write_bytes(payload)
    except OSError as error:
        raise CommandFailed(f"--value {file}: {error.strerror}") from error
    say(f"{file}: {len(payload)} bytes")


def _described(letter: StoredDeadLetter) -> dict[str, object]:
    """For people: bytes as Python writes them."""
    return {
        **letter.model_dump(mode="json"),
        "key": letter.key,
        "headers": " ".join(f"{name}={content!r}" for name, content in letter.headers) or None,
        "dlq": letter.dlq and f"{letter.dlq.topic} {letter.dlq.partition} {letter.dlq.offset}",
    }


@with_settings(KafkaSettings, StoreSettings, "start_timeout_s")
def resume(settings: Settings) -> None:
    """Let a group go on that the limit on dead letters has stopped.

    The limit then counts from zero. Consumers that have ended must be started again.
    """
    from cli.resuming import resume_group

    group, resumed = asyncio.run(resume_group(settings))
    line(f"group {group.group_id} on topic {group.topic} {'may go on' if resumed else 'was not stopped'}")
