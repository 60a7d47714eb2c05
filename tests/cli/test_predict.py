"""`predict`: samples scored in a process of its own, bad files apart, and a run that goes on where it was stopped."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import polars as pl
import pytest

from cli.frames import answer_schema
from cli.journal import Journal
from cli.pictures import Picture
from cli.predict import Scored, keeper
from errors import CommandFailed
from schemas.predictions import Prediction
from tests.checkpoints import SAMPLES
from tests.cli.commands import command_line, environment, run, wait_until
from tests.reference import reference_top1
from tests.store.makers import VERSION, prediction

PHOTOS = ("clock.png", "coffee.webp", "flower.jpg")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A working directory with PHOTOS in it."""
    for name in PHOTOS:
        shutil.copy(SAMPLES / name, tmp_path)
    return tmp_path


def test_good_pictures_are_scored_beside_bad_ones(here: Path, checkpoint: Path) -> None:
    (here / "bad.jpg").write_text("no picture")
    done = run("predict", *PHOTOS, "bad.jpg", "gone.jpg", "--json", "--top-k", 3, cwd=here, weights=checkpoint)
    found = [json.loads(line) for line in done.lines]
    assert (done.code, [answer["path"] for answer in found]) == (1, list(PHOTOS))
    assert [line[: len("streamscorer: error: bad.jpg: ")] for line in done.err.splitlines()] == [
        "streamscorer: error: bad.jpg: ",
        "streamscorer: error: gone.jpg:",
    ]
    expected = reference_top1(checkpoint, [(here / name).read_bytes() for name in PHOTOS])
    for answer, (predicted_class, probability) in zip(found, expected, strict=True):
        prediction = Prediction.model_validate(answer)
        assert prediction.predicted_class == predicted_class
        assert prediction.probability == pytest.approx(probability, abs=1e-3)
        assert len(prediction.top) == 3


def test_nothing_to_score_is_said_without_loading_a_model(here: Path) -> None:
    (here / "empty").mkdir()
    done = run("predict", "gone.jpg", "empty", cwd=here, weights="/nowhere/to/be/found.pt")
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[0] == "streamscorer: error: gone.jpg: no such file or folder"
    assert done.err.splitlines()[1].startswith("streamscorer: error: empty: no image in this folder or below")


def test_pictures_that_the_file_has_are_not_scored_again(here: Path, checkpoint: Path) -> None:
    pl.DataFrame({"path": PHOTOS, "id": ["1", "2", "3"]}).write_csv(here / "list.csv")
    run("predict", PHOTOS[0], "-o", "out.parquet", cwd=here, weights=checkpoint)
    before = pl.read_parquet(here / "out.parquet")
    # If it were read again it would be an error.
    (here / PHOTOS[0]).write_text("no picture")
    done = run("predict", "--manifest", "list.csv", "-o", "out.parquet", cwd=here, weights=checkpoint)
    assert (done.code, done.out, done.err) == (0, "", "out.parquet: 3 rows, 0 failed\n")
    after = pl.read_parquet(here / "out.parquet")
    assert after.head(1).equals(before)
    assert after.select("path", "id").rows() == [(PHOTOS[0], None), (PHOTOS[1], "2"), (PHOTOS[2], "3")]


def test_a_file_holds_the_rows_of_one_model(tmp_path: Path) -> None:
    with Journal(tmp_path / "out.csv", {"path": pl.String, "id": pl.String, **answer_schema(".csv")}) as journal:
        keep = keeper(journal, VERSION)
        keep(Scored(Picture(Path("a.jpg")), prediction()))
        keeper(journal, VERSION)
        with pytest.raises(CommandFailed, match=f"rows of model version {VERSION} and this model is other"):
            keeper(journal, "other")


def test_an_interrupted_run_keeps_its_rows_and_the_same_command_goes_on(here: Path, checkpoint: Path) -> None:
    names = [f"copy-{number:03}.jpg" for number in range(24)]
    for name in names:
        shutil.copy(SAMPLES / "flower.jpg", here / name)
    arguments = ("predict", "copy-*.jpg", "-o", "out.ndjson")
    settings = environment(weights=checkpoint, max_batch=2, cache_entries=0)
    running = subprocess.Popen(command_line(*arguments), cwd=here, env=settings, stderr=subprocess.PIPE, text=True)
    journal = here / ".out.ndjson.journal"
    wait_until(lambda: running.poll() is not None or (journal.exists() and journal.stat().st_size))
    running.send_signal(signal.SIGINT)
    _, complaints = running.communicate(timeout=60)
    assert (running.returncode, complaints) == (130, "")
    kept = len(journal.read_text().splitlines())
    assert 0 < kept < len(names)
    for name in pl.read_ndjson(journal).get_column("path"):
        (here / name).write_text("no picture")
    done = run(*arguments, cwd=here, weights=checkpoint)
    assert (done.code, done.err) == (0, f"out.ndjson: {len(names)} rows, 0 failed\n")
    assert pl.read_ndjson(here / "out.ndjson").get_column("path").to_list() == names
    assert not journal.exists()
