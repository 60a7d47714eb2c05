"""Table files by their ending (.parquet .csv .arrow .ndjson) through polars: streamed, and in place all at once."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from errors import CommandFailed, UsageError
from schemas.predictions import ModelAnswer
from schemas.scores import Score

if TYPE_CHECKING:
    import polars as pl

ENDINGS: Final = (".parquet", ".csv", ".arrow", ".ndjson")
_ANSWER: Final = {"predicted_class", "label", "probability", "model_version", "engine", "precision"}
_ROW_GROUP: Final = 50_000


def checked_ending(file: Path) -> str:
    """The ending of a file that can be written. Raises UsageError for another, or where its folder is not there."""
    ending = file.suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"{file}: unknown ending {ending or '(none)'}; known are {' '.join(ENDINGS)}")
    if not file.parent.is_dir():
        raise UsageError(f"{file}: there is no folder {file.parent}")
    if file.is_dir():
        raise UsageError(f"{file} is a folder")
    return ending


def answer_columns(answer: ModelAnswer, ending: str) -> dict[str, Any]:
    """What a model's answer is in columns, named as in the table `scores`. CSV has no lists: `top` is JSON there."""
    row = answer.model_dump(include=_ANSWER)
    row["top"] = to_json(answer.top).decode() if ending == ".csv" else [asdict(one) for one in answer.top]
    return row | asdict(answer.image)


def score_columns(score: Score, ending: str) -> dict[str, Any]:
    """A stored score in the columns of the table `scores`."""
    own = score.model_dump(include={"source", "event_id", "event_time", "scored_at", "traceparent"})
    return own | answer_columns(score, ending) | {f"kafka_{name}": value for name, value in score.kafka}


def answer_schema(ending: str) -> "dict[str, pl.DataType | type[pl.DataType]]":
    """Types of `answer_columns`."""
    import polars as pl

    top = pl.List(pl.Struct({"class_id": pl.Int32, "label": pl.String, "probability": pl.Float64}))
    return {
        "predicted_class": pl.Int32,
        "label": pl.String,
        "probability": pl.Float64,
        "top": pl.String if ending == ".csv" else top,
        "model_version": pl.String,
        "engine": pl.String,
        "precision": pl.String,
        "sha256": pl.String,
        "format": pl.String,
        "width": pl.Int32,
        "height": pl.Int32,
        "bytes": pl.Int64,
    }


def score_schema(ending: str) -> "dict[str, pl.DataType | type[pl.DataType]]":
    """Types of `score_columns`, in the order of the file's columns."""
    import polars as pl

    moment = pl.Datetime("us", "UTC")
    return (
        {"source": pl.String, "event_id": pl.String}
        | answer_schema(ending)
        | {"event_time": moment, "scored_at": moment, "kafka_topic": pl.String}
        | {"kafka_partition": pl.Int32, "kafka_offset": pl.Int64, "traceparent": pl.String}
    )


def scan(file: Path, schema: "Mapping[str, pl.DataType | type[pl.DataType]]", ending: str) -> "pl.LazyFrame":
    """What `write` wrote, lazily."""
    import polars as pl

    if ending == ".parquet":
        return pl.scan_parquet(file)
    if ending == ".arrow":
        return pl.scan_ipc(file)
    return pl.scan_csv(file, schema=dict(schema)) if ending == ".csv" else pl.scan_ndjson(file, schema=dict(schema))


def write(frame: "pl.LazyFrame", file: Path, ending: str) -> None:
    """Stream `frame` into `file`. Whoever looks at `file` sees what was there before, or all of the new one.

    Raises CommandFailed when it cannot be written; what the frame's source raises comes through as it is.
    """
    import polars as pl

    sinks: dict[str, Callable[[Path], object]] = {
        ".parquet": lambda part: frame.sink_parquet(part, row_group_size=_ROW_GROUP),
        ".csv": lambda part: frame.sink_csv(part, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ"),
        ".arrow": frame.sink_ipc,
        ".ndjson": frame.sink_ndjson,
    }
    with _replacing(file) as part:
        try:
            sinks[ending](part)
        except (OSError, pl.exceptions.ComputeError) as error:
            raise CommandFailed(f"{file} could not be written: {str(error).strip().splitlines()[0]}") from error


@contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    """A file beside `file` that takes its place when all went well, and is gone when not."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
