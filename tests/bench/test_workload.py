"""The pictures that are measured with."""

import io
from pathlib import Path

import pytest
from PIL import Image

from bench.workload import Workload, fresh, make
from errors import UsageError


def test_the_same_seed_gives_the_same_pictures_made_once(tmp_path: Path) -> None:
    first = Workload(tmp_path / "one", 1).read(3)
    made = {path: path.stat().st_mtime_ns for path in Workload(tmp_path / "one", 1).paths(3)}
    assert Workload(tmp_path / "one", 1).read(3) == Workload(tmp_path / "two", 1).read(3) == first
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert Workload(tmp_path / "one", 2).read(3) != first


def test_no_two_are_alike_in_a_run_however_many_are_taken(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "one.jpg").write_bytes(make(1, 0, kilobytes=10))
    workload = Workload(tmp_path, 1, tmp_path / "own")
    taken = [*workload.take(5), *workload.take(5), *workload.read(5), *workload.read(5, 1)]
    assert len(set(taken)) == 20


def test_other_bytes_are_the_same_picture() -> None:
    image = make(1, 0, kilobytes=10)
    with Image.open(io.BytesIO(image)) as one, Image.open(io.BytesIO(fresh(image, 7))) as other:
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("kilobytes", [10, 100, 1000])
def test_a_size_can_be_asked_for(kilobytes: int) -> None:
    assert 0.6 < len(make(1, 3, kilobytes=kilobytes)) / 1000 / kilobytes < 1.6


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(UsageError, match="no pictures"):
        Workload(tmp_path, 1, tmp_path).read(1)
