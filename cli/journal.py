"""What is done of a long run: rows go to a journal beside the table file, and at the end from there into it.

An interrupted run leaves the journal; the next one goes on from it.
"""

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pydantic_core import to_json

from cli.frames import checked_ending, scan, write
from errors import CommandFailed

if TYPE_CHECKING:
    import polars as pl


class Journal:
    """The rows of `file` (made by an earlier run) and those of this one. One process at a time.

    Raises UsageError for an ending that cannot be written, CommandFailed when another process works on `file`.
    """

    def __init__(self, file: Path, schema: "Mapping[str, pl.DataType | type[pl.DataType]]") -> None:
        self.ending = checked_ending(file)
        self._file = file
        self._schema = schema
        self._path = file.with_name(f".{file.name}.journal")

    def __enter__(self) -> Self:
        try:
            self._rows = self._path.open("ab+")
        except OSError as error:
            raise CommandFailed(f"{self._path} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._rows, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._rows.close()
            raise CommandFailed(f"{self._file} is being written by another process") from error
        self._drop_half_line()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._path.exists() and not self._path.stat().st_size:
            self._path.unlink()
        self._rows.close()

    def seen(self, column: str) -> set[str]:
        """Every value that `column` has so far."""
        values = self._all().select(column).unique().collect().get_column(column)
        return set(values.drop_nulls().to_list())

    def add(self, row: Mapping[str, Any]) -> None:
        """Keep one row: it survives the end of this process."""
        self._rows.write(to_json(row) + b"\n")
        self._rows.flush()

    def finish(self) -> int:
        """Bring `file` up to date; the number of its rows."""
        import polars as pl

        if self._path.stat().st_size or not self._file.exists():
            write(self._all(), self._file, self.ending)
            os.truncate(self._path, 0)
        return int(scan(self._file, self._schema, self.ending).select(pl.len()).collect().item())

    def _all(self) -> "pl.LazyFrame":
        import polars as pl

        parts = [pl.LazyFrame(schema=self._schema)]
        if self._file.exists():
            parts.append(self._written())
        if self._path.stat().st_size:
            parts.append(pl.scan_ndjson(self._path, schema=self._schema))
        return pl.concat(parts)

    def _written(self) -> "pl.LazyFrame":
        import polars as pl

        try:
            frame = scan(self._file, self._schema, self.ending)
            columns = frame.collect_schema().names()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise CommandFailed(f"{self._file} cannot be read: {str(error).strip().splitlines()[0]}") from error
        if columns != list(self._schema):
            raise CommandFailed(f"{self._file} is not from this command: it has the columns {', '.join(columns)}")
        return frame

    def _drop_half_line(self) -> None:
        """A process that was killed may have left the beginning of a row."""
        size = end = self._path.stat().st_size
        while end:
            start = max(0, end - 65536)
            self._rows.seek(start)
            newline = self._rows.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end != size:
            os.truncate(self._path, end)
