"""`scores`: ask the store and print."""

import asyncio
from typing import Annotated, Final

import typer

from cli.filters import with_filters
from cli.options import with_settings
from cli.output import Table, json_line
from schemas.scores import Order, ScoreFilter
from settings import Settings, StoreSettings

_PAGE: Final = 500


@with_settings(StoreSettings, "start_timeout_s")
@with_filters
def scores(
    where: ScoreFilter,
    settings: Settings,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most N scores.")] = 100,
    order: Annotated[Order, typer.Option(help="Which come first.")] = "newest",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")] = False,
) -> None:
    """Print stored scores that match the filters."""
    asyncio.run(_scores(where, settings, limit, order, as_json=as_json))


async def _scores(where: ScoreFilter, settings: Settings, limit: int, order: Order, *, as_json: bool) -> None:
    from store.store import open_store
    from telemetry import Metrics

    table = Table(("scored at", 20), ("source", 22), ("event id", 28), ("label", 24), ("probability", 11), ("model", 0))
    cursor: str | None = None
    async with open_store(settings, Metrics(), start_timeout_s=settings.start_timeout_s) as store:
        while limit > 0:
            page = await store.page(where, order=order, limit=min(limit, _PAGE), cursor=cursor)
            for score in page.items:
                if as_json:
                    json_line(score)
                else:
                    at = f"{score.scored_at:%Y-%m-%dT%H:%M:%SZ}"
                    answer = (score.label, f"{score.probability:.4f}", score.model_version)
                    table.row(at, score.source, score.event_id, *answer)
            limit -= len(page.items)
            cursor = page.next_cursor
            if cursor is None:
                return
