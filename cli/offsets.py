"""`offsets reset`, `offsets skip`: let a stopped group go on elsewhere."""

import asyncio
from typing import Annotated

import typer

from cli.dlq_filters import place_of
from cli.filters import moment
from cli.options import with_settings
from errors import UsageError
from settings import KafkaSettings, Settings, StoreSettings

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


@with_settings(KafkaSettings, StoreSettings, "start_timeout_s")
def reset(
    settings: Settings,
    to_time: Annotated[
        str | None,
        typer.Option(
            metavar="T",
            help="To the first record at or after this time (ISO 8601; UTC where no zone is given), or to the end.",
        ),
    ] = None,
    to_offset: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="To this offset, or to the nearest one in the log.")
    ] = None,
    partition: Annotated[
        list[int] | None, typer.Option(min=0, metavar="P", help="Only in this partition; may be repeated.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Let the group go on at another place of its topic.

    Refused while the group has members: stop its consumers first. What is delivered again and decided already adds no
    row.
    """
    if (to_time is None) == (to_offset is None):
        raise UsageError("say where to: --to-time T or --to-offset N, one of the two")
    time = None if to_time is None else moment("to-time", to_time)

    from cli.moving import Target
    from cli.moving import reset as move

    asyncio.run(move(settings, Target(time, to_offset), partition or (), dry_run=dry_run))


@with_settings(KafkaSettings, StoreSettings, "start_timeout_s")
def skip(
    settings: Settings,
    named: Annotated[list[str], typer.Argument(metavar="TOPIC PARTITION OFFSET", show_default=False)],
    why: Annotated[str | None, typer.Option(metavar="TEXT", help="Kept in the audit.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Leave out the one record that the group would be given next.

    It gets neither a score nor a dead letter. Refused while the group has members, and where the group does not stand
    at OFFSET.
    """
    from cli.moving import skip as leave_out

    asyncio.run(leave_out(settings, place_of(named, None), why, dry_run=dry_run))
