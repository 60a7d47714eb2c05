"""`predict`: score pictures in this process, without Kafka and without a database."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import aclosing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.exits import FAILED, say, say_error, say_warning
from cli.frames import answer_columns
from cli.options import with_settings
from cli.output import Table, json_line, printable
from cli.pictures import Missing, Paths, Picture, Pictures
from cli.pipeline import in_order
from errors import CommandFailed, Invalid, SourceUnavailable, UsageError
from schemas.events import ImageRef
from schemas.predictions import Prediction
from settings import InferenceSettings, Settings, SourceSettings

if TYPE_CHECKING:
    from cli.journal import Journal
    from inference.core import InferenceCore
    from sources.fetcher import SourceFetcher

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Scored:
    """A picture with its answer."""

    picture: Picture
    prediction: Prediction


Keep = Callable[[Scored], None]


@with_settings(InferenceSettings, SourceSettings, "memory_budget_mb")
def predict(
    settings: Settings,
    images: Annotated[list[str] | None, typer.Argument(metavar="IMAGE...", show_default=False)] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="A .parquet, .csv or .ndjson with a column path or image_uri; optional id.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Write .parquet .csv .arrow or .ndjson; pictures that it has are not scored again."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")] = False,
) -> int:
    """Score pictures here, without Kafka or a database.

    They are files, folders with all below, globs, or the rows of a manifest. Prints path, label and probability, or
    writes a file; where that was interrupted, the same command goes on.
    """
    from cli.manifest import Manifest

    if bool(images) == bool(manifest):
        raise UsageError("give the pictures as IMAGE... or as --manifest FILE, one of the two")
    if out and as_json:
        raise UsageError("--json prints and -o writes a file: leave one of them out")
    pictures: Pictures = Manifest(manifest) if manifest else Paths(images or [])
    journal = _journal(out) if out else None
    with journal or nullcontext():
        failed = asyncio.run(_predict(settings, pictures, journal, as_json=as_json))
        if journal:
            rows = journal.finish()
            say(f"{out}: {rows} rows, {failed} failed")
    return FAILED if failed else 0


def _journal(out: Path) -> "Journal":
    import polars as pl

    from cli.frames import answer_schema, checked_ending
    from cli.journal import Journal

    return Journal(out, {"path": pl.String, "id": pl.String, **answer_schema(checked_ending(out))})


async def _predict(settings: Settings, pictures: Pictures, journal: "Journal | None", *, as_json: bool) -> int:
    """Score what is not done yet; how many failed (each is named on stderr)."""
    waiting = _NotYet(pictures, journal.seen("path") if journal else set())
    if not any(isinstance(picture, Picture) for picture in waiting):
        # Nothing to score: say so without waiting for the model.
        missing = [picture for picture in waiting if isinstance(picture, Missing)]
        for picture in missing:
            say_error(printable(f"{picture.name}: {picture.reason}"))
        return len(missing)

    from cli.progress import progress
    from inference.core import open_core
    from sources.fetcher import open_fetcher
    from telemetry import Metrics

    failed = 0
    async with open_core(settings, Metrics()) as core, open_fetcher(settings) as fetcher:
        keep = keeper(journal, core.info.model_version) if journal else _printer(as_json=as_json)
        if core.info.untrained:
            say_warning("the weights are untrained: labels and probabilities mean nothing")
        # Enough to fill the next batches while one is computed, and never more encoded bytes than half the budget.
        at_once = max(2, min(4 * settings.max_batch, settings.memory_budget_mb * _MIB // 2 // settings.max_image_bytes))
        results = in_order(waiting, lambda picture: _score(picture, core, fetcher, settings.max_image_bytes), at_once)
        with progress("scoring", lambda: len(waiting), shown=journal is not None) as advance:
            async with aclosing(results):
                async for result in results:
                    advance(1)
                    if isinstance(result, Scored):
                        keep(result)
                    else:
                        failed += 1
                        say_error(printable(result))
    return failed


async def _score(
    picture: Picture | Missing, core: "InferenceCore", fetcher: "SourceFetcher", max_bytes: int
) -> Scored | str:
    """The picture with its answer, or what is wrong with it."""
    if isinstance(picture, Missing):
        return f"{picture.name}: {picture.reason}"
    try:
        if isinstance(picture.place, str):
            image = await fetcher.fetch(ImageRef(picture.place, picture.sha256))
        else:
            image = await asyncio.to_thread(picture.read, max_bytes)
        return Scored(picture, await core.score(image, "stream"))
    except (Invalid, SourceUnavailable) as error:
        return f"{picture.name}: {error}"


def _printer(*, as_json: bool) -> Keep:
    if as_json:
        return lambda scored: json_line({"path": scored.picture.name, **scored.prediction.model_dump(mode="json")})
    table = Table(("path", 40), ("label", 24), ("probability", 11))
    return lambda scored: table.row(
        scored.picture.name, scored.prediction.label, f"{scored.prediction.probability:.4f}"
    )


def keeper(journal: "Journal", model_version: str) -> Keep:
    """Writes to `journal`. Raises CommandFailed when its rows are another model's: one file, one model."""
    others = journal.seen("model_version") - {model_version}
    if others:
        raise CommandFailed(
            f"the output has rows of model version {', '.join(sorted(others))} and this model is {model_version}: "
            "give another file with -o"
        )
    return lambda scored: journal.add(
        {"path": scored.picture.name, "id": scored.picture.id, **answer_columns(scored.prediction, journal.ending)}
    )


class _NotYet:
    """Those of `pictures` whose names are not in `done`."""

    def __init__(self, pictures: Pictures, done: Collection[str]) -> None:
        self._pictures = pictures
        self._done = done

    def __iter__(self) -> Iterator[Picture | Missing]:
        return (picture for picture in self._pictures if picture.name not in self._done)

    def __len__(self) -> int:
        return sum(1 for _ in self)
