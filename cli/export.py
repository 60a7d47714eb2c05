"""`export`: stored scores to a table file, streamed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.exits import say
from cli.filters import with_filters
from cli.frames import checked_ending, score_columns, score_schema, write
from cli.options import with_settings
from cli.progress import Advance, progress
from schemas.scores import Score, ScoreFilter
from settings import Settings, StoreSettings

if TYPE_CHECKING:
    import polars as pl

_CHUNK: Final = 1000


@with_settings(StoreSettings, "start_timeout_s")
@with_filters
def export(
    where: ScoreFilter,
    settings: Settings,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Ends in .parquet, .csv, .arrow or .ndjson.")],
) -> None:
    """Write stored scores to a file.

    All that match the filters, in bounded memory. The columns are those of the table `scores`. A file that is there is
    replaced once the new one is whole.
    """
    ending = checked_ending(file)
    rows = asyncio.run(_export(where, settings, file, ending))
    say(f"{file}: {rows} rows")


async def _export(where: ScoreFilter, settings: Settings, file: Path, ending: str) -> int:
    from store.store import open_store
    from telemetry import Metrics

    async with open_store(settings, Metrics(), start_timeout_s=settings.start_timeout_s) as store:
        with progress("exporting", unit="scores") as advance:
            pump = _Pump(store.iterate(where, _CHUNK), ending, advance)
            try:
                await asyncio.to_thread(write, pump.frame(), file, ending)
            finally:
                pump.stopped = True
    return pump.rows


class _Pump:
    """Chunks of an asynchronous reader as a polars frame that another thread draws from, one chunk at a time."""

    def __init__(self, chunks: AsyncIterator[list[Score]], ending: str, advance: Advance) -> None:
        self._chunks = chunks
        self._ending = ending
        self._advance = advance
        self._loop = asyncio.get_running_loop()
        self.stopped = False
        self.rows = 0

    def frame(self) -> "pl.LazyFrame":
        from polars.io.plugins import register_io_source

        return register_io_source(self._draw, schema=score_schema(self._ending))

    def _draw(self, columns: list[str] | None, *_hints: Any) -> "Iterator[pl.DataFrame]":
        import polars as pl

        while not self.stopped:
            chunk = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            if chunk is None:
                return
            self.rows += len(chunk)
            self._advance(len(chunk))
            rows = [score_columns(score, self._ending) for score in chunk]
            frame = pl.DataFrame(rows, schema=score_schema(self._ending))
            yield frame if columns is None else frame.select(columns)

    async def _next(self) -> list[Score] | None:
        return await anext(self._chunks, None)
