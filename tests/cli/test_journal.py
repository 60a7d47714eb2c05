"""An interrupted run goes on where it was; what is in the file stays; files appear whole."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from polars.io.plugins import register_io_source

from cli.frames import ENDINGS, answer_columns, answer_schema, scan, write
from cli.journal import Journal
from errors import CommandFailed, StoreUnavailable
from tests.store.makers import prediction


def schema(ending: str) -> dict[str, pl.DataType | type[pl.DataType]]:
    return {"path": pl.String, **answer_schema(ending)}


def add(journal: Journal, *paths: str) -> None:
    for path in paths:
        journal.add({"path": path, **answer_columns(prediction(), journal.ending)})


def paths(file: Path) -> list[str]:
    ending = file.suffix
    return list(scan(file, schema(ending), ending).collect().get_column("path"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_rows_of_an_interrupted_run_and_of_the_next_are_in_the_file(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"out{ending}"
    with Journal(file, schema(ending)) as first:
        add(first, "a", "b")
    assert not file.exists()
    with Journal(file, schema(ending)) as second:
        assert second.seen("path") == {"a", "b"}
        add(second, "c")
        assert second.finish() == 3
    with Journal(file, schema(ending)) as third:
        assert third.seen("path") == {"a", "b", "c"}
        add(third, "d")
        assert third.finish() == 4
    assert paths(file) == ["a", "b", "c", "d"]
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_row_that_was_cut_in_the_middle_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "out.parquet"
    with Journal(file, schema(".parquet")) as journal:
        add(journal, "a", "b")
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:-20])
    with Journal(file, schema(".parquet")) as journal:
        assert journal.seen("path") == {"a"}
        add(journal, "c")
        journal.finish()
    assert paths(file) == ["a", "c"]


def test_a_file_is_written_by_one_process_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    with (
        Journal(file, schema(".csv")),
        pytest.raises(CommandFailed, match="another process"),
        Journal(file, schema(".csv")),
    ):
        pass


def test_a_file_from_elsewhere_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "out.parquet"
    pl.DataFrame({"mine": [1]}).write_parquet(file)
    with pytest.raises(CommandFailed, match="it has the columns mine"), Journal(file, schema(".parquet")) as journal:
        journal.seen("path")
    assert pl.read_parquet(file).columns == ["mine"]


def test_a_run_without_a_row_still_makes_the_file(tmp_path: Path) -> None:
    file = tmp_path / "out.parquet"
    with Journal(file, schema(".parquet")) as journal:
        assert journal.finish() == 0
    assert paths(file) == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def source(*_hints: object) -> Iterator[pl.DataFrame]:
        yield pl.DataFrame({"a": ["x"]})
        raise StoreUnavailable("away")

    file = tmp_path / "out.csv"
    file.write_text("old")
    with pytest.raises(StoreUnavailable):
        write(register_io_source(source, schema={"a": pl.String}), file, ".csv")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_place_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "gone" / "out.csv"
    with pytest.raises(CommandFailed, match=r"out\.csv could not be written: .*No such file") as failed:
        write(pl.LazyFrame({"a": ["x"]}), file, ".csv")
    assert "\n" not in str(failed.value)
