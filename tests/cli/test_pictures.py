"""Which pictures arguments and manifests name, under which names."""

import os
from pathlib import Path

import polars as pl
import pytest

from cli.manifest import Manifest
from cli.pictures import Missing, Paths, Picture
from errors import ImageTooLarge, SourceNotFound, UsageError


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three pictures, one of them deeper, and two files that are none; the working directory is above."""
    for name in ("b.jpg", "a.PNG", "deep/c.webp", "notes.txt", "deep/.DS_Store"):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "album"


def names(*arguments: str) -> list[str]:
    return [picture.name for picture in Paths(arguments) if isinstance(picture, Picture)]


def test_a_folder_gives_its_pictures_and_those_below_in_order(album: Path) -> None:
    assert names("album") == ["album/a.PNG", "album/b.jpg", "album/deep/c.webp"]


@pytest.mark.parametrize("how", ["album/b.jpg", "./album/b.jpg", "album/../album/b.jpg", "{}/b.jpg", "album/*.jpg"])
def test_a_picture_has_one_name_however_it_is_named(album: Path, how: str) -> None:
    assert names(how.format(album)) == ["album/b.jpg"]


def test_a_picture_outside_the_working_directory_has_its_absolute_name(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(album / "deep")
    assert names("../b.jpg") == [str(album / "b.jpg")]


def test_a_named_file_is_taken_whatever_its_ending(album: Path) -> None:
    assert names("album/notes.txt") == ["album/notes.txt"]


@pytest.mark.parametrize("argument", ["nothing.jpg", "album/*.gif", "empty"])
def test_what_names_no_picture_is_said_and_the_others_go_on(album: Path, argument: str) -> None:
    (album.parent / "empty").mkdir()
    found = list(Paths([argument, "album/b.jpg"]))
    assert isinstance(found[0], Missing)
    assert found[0].name == argument
    assert [picture.name for picture in found[1:]] == ["album/b.jpg"]


def test_a_name_that_is_no_utf8_can_still_be_printed(album: Path) -> None:
    raw = os.fsdecode(b"album/\xff.jpg")
    Path(raw).write_bytes(b"x")
    assert names(raw) == ["album/\N{REPLACEMENT CHARACTER}.jpg"]


def test_reading_names_what_is_wrong(album: Path) -> None:
    with pytest.raises(ImageTooLarge, match="SCORER_MAX_IMAGE_BYTES=0"):
        Picture(album / "b.jpg").read(0)
    with pytest.raises(SourceNotFound, match="No such file"):
        Picture(album / "gone.jpg").read(10)
    with pytest.raises(SourceNotFound, match="directory"):
        Picture(album).read(10)


ROWS = {
    "path": ["a.jpg", None, "deep/b.jpg"],
    "id": ["007", "8", None],
    "source": ["cam", None, None],
    "extra": [1, 2, 3],
}


@pytest.mark.parametrize("ending", ["parquet", "csv", "ndjson"])
def test_a_manifest_names_pictures_from_its_own_folder_on(album: Path, ending: str) -> None:
    file = album / f"list.{ending}"
    getattr(pl.DataFrame(ROWS), f"write_{ending}")(file)
    manifest = Manifest(file)
    found = list(manifest)
    assert len(manifest) == 3
    assert found[0] == Picture(album / "a.jpg", id="007", source="cam")
    assert isinstance(found[1], Missing)
    assert found[1].name == "row 2 of the manifest"
    assert found[2] == Picture(album / "deep/b.jpg")


def test_a_manifest_of_uris_keeps_them(tmp_path: Path) -> None:
    pl.DataFrame({"image_uri": ["s3://b/k.jpg"], "sha256": ["ab"]}).write_parquet(tmp_path / "m.parquet")
    (picture,) = Manifest(tmp_path / "m.parquet")
    assert picture == Picture("s3://b/k.jpg", sha256="ab")
    assert picture.name == "s3://b/k.jpg"


def test_a_manifest_longer_than_a_chunk_comes_whole_and_in_order(tmp_path: Path) -> None:
    expected = [f"{number}.jpg" for number in range(2500)]
    pl.DataFrame({"path": expected}).write_csv(tmp_path / "m.csv")
    found = [picture.place.name for picture in Manifest(tmp_path / "m.csv") if isinstance(picture.place, Path)]  # type: ignore[union-attr]  # no row is missing
    assert found == expected


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.csv", "file,label\na,b\n", "it has file, label"),
        ("m.csv", "path,image_uri\na,b\n", "one of the columns"),
        ("m.csv", "", "m.csv"),
        ("m.parquet", "no parquet", "m.parquet"),
        ("m.ndjson", "{", "m.ndjson"),
        ("m.txt", "path", "unknown ending .txt"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused_at_once(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=said) as refused:
        Manifest(tmp_path / name)
    assert "\n" not in str(refused.value)
