"""`lag`: is the group behind, where, why, and when will it be done? A check for people and for supervision."""

import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.exits import say
from cli.options import with_settings
from cli.output import Table, json_line, line, printable
from settings import MonitorSettings, Settings

if TYPE_CHECKING:
    from monitor.history import History
    from monitor.watcher import Watcher
    from schemas.lag import LagReport, PartitionLag

_TIMEOUT_S: Final = 5.0
_SECOND_LOOK_S: Final = 0.8
"""How long after the first one: what is published in between is the rate."""
_SLOW_LOOK_S: Final = 0.7
"""Who looked for so long does not look again: an answer in time is worth more."""
_CODES: Final = {"OK": 0, "WARN": 1, "STALL": 2, "STOP": 2, "REWIND": 2}
_STYLES: Final = {"OK": "green", "WARN": "yellow", "STALL": "red", "STOP": "red", "REWIND": "magenta"}
_BARS: Final = "▁▂▃▄▅▆▇█"
_CURVE: Final = 24


@with_settings(MonitorSettings, logs=None)
def lag(
    settings: Settings,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every LAG_INTERVAL_S, until Ctrl-C.")] = False,
    group_id: Annotated[
        str | None, typer.Option("--group-id", metavar="G", help="Another consumer group, on all its topics.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a look instead of a table.")] = False,
) -> int:
    """Say whether the consumer group keeps up; if not, where, why, and when it will be done.

    Exit code 0: OK. 1: WARN. 2: STALL, STOP or REWIND. 3: anything that kept us from knowing.
    """
    if watch:
        asyncio.run(_watch(settings, group_id, as_json=as_json))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it would say, our one line says
    report = asyncio.run(_look(settings, group_id))
    _print(report, as_json=as_json)
    return _CODES[report.status]


async def _look(settings: Settings, group_id: str | None) -> "LagReport":
    """Twice: what is published in between is a rate, which no consumer tells."""
    from broker.groups import open_groups
    from monitor.observer import Observer
    from monitor.sampling import group_and_topics, look, silence_s

    group, topics = group_and_topics(settings, group_id)
    observer = Observer(silence_s(settings))
    async with open_groups(settings, timeout_s=_TIMEOUT_S) as groups:
        began = time.monotonic()
        report = await look(groups, observer, group, topics)
        if time.monotonic() - began > _SLOW_LOOK_S:
            return report
        await asyncio.sleep(_SECOND_LOOK_S)
        return await look(groups, observer, group, topics)


async def _watch(settings: Settings, group_id: str | None, *, as_json: bool) -> None:
    from monitor.watcher import Watcher
    from telemetry import configure_logging

    configure_logging(settings.model_copy(update={"log_level": "error"}))
    watcher = Watcher(settings, group_id)
    live = sys.stdout.isatty() and not as_json
    running = asyncio.create_task(watcher.run(), name="watch")
    showing = asyncio.create_task(_show_live(watcher) if live else _show_lines(watcher, as_json=as_json), name="show")
    try:
        await asyncio.wait({running, showing}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        running.cancel()
        showing.cancel()
        await asyncio.gather(running, showing, return_exceptions=True)
    for task in (running, showing):
        if not task.cancelled():
            task.result()


async def _show_lines(watcher: "Watcher", *, as_json: bool) -> None:
    while True:
        await watcher.looked()
        if (trouble := await watcher.trouble()) is not None:
            say(trouble)
        else:
            _print(watcher.report(), as_json=as_json)


async def _show_live(watcher: "Watcher") -> None:
    from rich.live import Live

    with Live("", auto_refresh=False, screen=True) as screen:
        while True:
            await watcher.looked()
            screen.update(_picture(watcher.latest, watcher.history, await watcher.trouble()), refresh=True)


def _print(report: "LagReport", *, as_json: bool) -> None:
    if as_json:
        json_line(report)
        return
    rows = [_cells(found) for found in report.partitions]
    line(printable(f"{report.status}: {report.reason}"))
    headings = ("status", "partition", "lag", "seconds", "eta", "rate", "owner", "reason")
    widths = [max(len(cell) for cell in column) for column in zip(headings, *rows, strict=True)]
    table = Table(*zip(headings, (*widths[:-1], 0), strict=True))
    for row in rows:
        table.row(*row)


def _cells(found: "PartitionLag") -> tuple[str, ...]:
    from monitor.words import rate, span

    return (
        found.status,
        f"{found.topic}/{found.partition}",
        str(found.lag),
        "-" if found.time_lag_s is None else f"{found.time_lag_s:.1f}",
        "-" if found.eta_s is None else span(found.eta_s),
        "-" if found.consumed_per_s is None else rate(found.consumed_per_s),
        found.owner or "-",
        found.reason,
    )


def _picture(report: "LagReport | None", history: "History", trouble: str | None) -> Any:
    """The verdict, the curve of the group and a row for each partition."""
    from rich.console import Group
    from rich.table import Table as Rows
    from rich.text import Text

    from broker.samples import Place

    if report is None or trouble is not None:
        return Text(f"UNKNOWN: {printable(trouble or 'looking')}", style="bold red")
    rows = Rows(expand=True, box=None)
    for heading in ("status", "partition", "lag", "", "seconds", "eta", "rate", "owner", "reason"):
        rows.add_column(heading.upper(), overflow="fold", justify="right" if heading in ("lag", "seconds") else "left")
    for found in report.partitions:
        status, name, lag_, *rest = (Text(printable(cell)) for cell in _cells(found))
        status.stylize(_STYLES[found.status])
        rows.add_row(status, name, lag_, sparkline(history.lags(Place(found.topic, found.partition))), *rest)
    verdict = Text(printable(f"{report.status}: {report.reason}"), style=f"bold {_STYLES[report.status]}")
    curve = sparkline([moment.lag for moment in history.moments])
    return Group(verdict, Text(f"{report.at:%H:%M:%SZ}  group {report.group_id}  lag {report.lag:,}  {curve}"), rows)


def sparkline(values: Sequence[int]) -> str:
    """The last values as bars, the greatest of them as the highest; zero is the lowest."""
    shown = list(values)[-_CURVE:]
    most = max(shown, default=0)
    return "".join(_BARS[round(value / most * (len(_BARS) - 1))] if most else _BARS[0] for value in shown)
