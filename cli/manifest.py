"""A manifest of pictures: parquet, csv or ndjson, read in chunks."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cli.pictures import Missing, Picture
from errors import UsageError

if TYPE_CHECKING:
    import polars as pl

ENDINGS: Final = (".parquet", ".csv", ".ndjson", ".jsonl")
_PLACES: Final = ("path", "image_uri")
_EXTRAS: Final = ("id", "source", "sha256")
_ROWS: Final = 1000


class Manifest:
    """The pictures of a manifest's rows: column `path` (from the manifest's folder on) or `image_uri`; optional `id`,
    `source`, `sha256`. Raises UsageError at once for a file that cannot be read as one."""

    def __init__(self, file: Path) -> None:
        import polars as pl

        self._folder = file.parent
        try:
            frame = _scan(file)
            columns = frame.collect_schema().names()
            places = [name for name in _PLACES if name in columns]
            if len(places) != 1:
                raise UsageError(
                    f"{file}: a manifest needs one of the columns `path` and `image_uri`; it has {', '.join(columns)}"
                )
            wanted = [*places, *(name for name in _EXTRAS if name in columns)]
            self._rows = frame.select(pl.col(wanted).cast(pl.String)).rename({places[0]: "place"})
            self._is_path = places == ["path"]
            self._length = int(self._rows.select(pl.len()).collect().item())
        except (OSError, pl.exceptions.PolarsError) as error:
            raise UsageError(f"{file}: {str(error).strip().splitlines()[0]}") from error

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Picture | Missing]:
        number = 0
        for chunk in self._rows.collect_batches(chunk_size=_ROWS, maintain_order=True, lazy=True):
            for row in chunk.iter_rows(named=True):
                number += 1
                place = row.pop("place")
                if not place:
                    yield Missing(f"row {number} of the manifest", "names no picture")
                else:
                    yield Picture(self._folder / place if self._is_path else place, **row)


def _scan(file: Path) -> "pl.LazyFrame":
    import polars as pl

    ending = file.suffix.lower()
    if not file.is_file():
        raise UsageError(f"--manifest {file}: no such file")
    if ending == ".parquet":
        return pl.scan_parquet(file)
    if ending == ".csv":
        # Ids such as 007 must stay what they are.
        return pl.scan_csv(file, infer_schema=False)
    if ending in ENDINGS:
        return pl.scan_ndjson(file)
    raise UsageError(f"--manifest {file}: unknown ending {ending or '(none)'}; known are {' '.join(ENDINGS)}")
