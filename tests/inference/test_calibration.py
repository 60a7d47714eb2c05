"""int8: a calibration is made from some images, judged on others, and used only for what it was made of."""

import asyncio
import dataclasses
import io
import json
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cli.calibrate import calibrate_with, settle
from cli.pictures import Paths
from errors import UsageError
from inference import choice, stored_network
from inference.calibration import Calibration, find_calibration
from inference.choice import open_engine
from inference.conversion import converted
from inference.model import Model, load_model
from inference.openvino_engine import OpenVinoEngine
from inference.preprocess import Preprocessing
from inference.quantization import LEAST_IMAGES, Sample, sample, split
from settings import Settings
from tests.inference.pictures import encode, photo

BLACK = torch.zeros((3, 64, 64), dtype=torch.uint8)


def samples(count: int) -> list[Sample]:
    return [Sample(f"{number:064x}", BLACK) for number in range(count)]


def digests(part: list[Sample]) -> list[str]:
    return [one.sha256 for one in part]


def test_the_two_parts_share_no_image_and_do_not_depend_on_order() -> None:
    calibrating, held_back = split([*samples(250), *samples(250)])
    assert (len(calibrating), len(held_back)) == (125, 125)
    assert not set(digests(calibrating)) & set(digests(held_back))
    again = split(samples(250)[::-1])
    assert (digests(again[0]), digests(again[1])) == (digests(calibrating), digests(held_back))


def test_more_images_are_held_back_not_calibrated_with() -> None:
    calibrating, held_back = split(samples(1000))
    assert (len(calibrating), len(held_back)) == (300, 700)


def test_too_few_images_are_refused_with_how_many_it_takes() -> None:
    with pytest.raises(UsageError, match=f"needs {LEAST_IMAGES} different images .* here are 199"):
        split([*samples(199), *samples(199)])


def test_a_sample_is_what_the_model_will_see() -> None:
    made = sample(encode(photo(), "PNG"), Preprocessing(resize=32, crop=32), Settings(_env_file=None))
    assert (made.pixels.shape, made.pixels.dtype, len(made.sha256)) == ((3, 32, 32), torch.uint8, 64)


@pytest.fixture(scope="module")
def settings(small_model: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return small_model.model_copy(update={"precision": "int8", "data_dir": tmp_path_factory.mktemp("data")})


@pytest.fixture(scope="module")
def model(settings: Settings) -> Model:
    return load_model(settings)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many small pictures of coloured noise as it takes, one of them twice, and one that cannot be read."""
    folder, picks = tmp_path_factory.mktemp("images"), np.random.default_rng(5)
    for number in range(LEAST_IMAGES):
        noise = Image.fromarray(picks.integers(256, size=(4, 4, 3), dtype=np.uint8))
        noise.resize((80, 80)).save(folder / f"{number}.png")
    (folder / "twice.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "broken.jpg").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def said(images: Path, settings: Settings) -> tuple[str, str]:
    """What a calibration printed on stdout and stderr that was kept, whatever the agreement."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        asyncio.run(calibrate_with(settings, list(Paths([str(images)])), 600, 0, as_json=True))
    return out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def calibration(said: tuple[str, str]) -> Calibration:
    return Calibration.model_validate_json(said[0])


def test_the_command_prints_figures_alone_on_stdout(said: tuple[str, str], calibration: Calibration) -> None:
    assert (calibration.images, calibration.held_back) == (100, 100)
    assert 0 < calibration.mean_error < calibration.max_error < 1
    assert 0.2 < calibration.agreement < 1
    assert "broken.jpg: " in said[1]
    assert said[1].splitlines()[-1].startswith("kept in ")


def test_a_network_that_disagrees_with_fp32_is_not_kept(
    calibration: Calibration, model: Model, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = stored_network.read(next((settings.data_dir / "calibrations").iterdir()))
    settings = settings.model_copy(update={"data_dir": tmp_path})
    settle(network, calibration.model_copy(update={"agreement": 0.979, "bound": 0.98}), model, settings)
    assert "the same class as fp32 on 97.9% of the images held back, and 98.0% are needed" in capsys.readouterr().err
    assert find_calibration(model, settings) is None
    settle(network, calibration.model_copy(update={"agreement": 0.98, "bound": 0.98}), model, settings)
    assert find_calibration(model, settings) is not None


def test_int8_runs_once_it_is_calibrated(calibration: Calibration, model: Model, settings: Settings) -> None:
    engine = OpenVinoEngine(model, settings)
    exact = OpenVinoEngine(model, settings.model_copy(update={"precision": "fp32"}))
    batch = torch.randint(256, (5, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    rows = engine.predict(batch)
    assert (engine.name, engine.precision) == ("openvino", "int8")
    assert 1e-4 < float((rows - exact.predict(batch)).abs().max()) < calibration.max_error * 2
    assert torch.allclose(engine.predict(batch[2:3]), rows[2:3], atol=1e-5)


def test_auto_takes_int8_where_it_is_calibrated(
    calibration: Calibration, model: Model, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert calibration.passes
    monkeypatch.setattr(choice, "OTHERS_S", 0.0)  # the first candidate alone: the likely fastest
    open_to_all = {"engine": "auto", "precision": "auto", "cache_dir": tmp_path}
    engine = open_engine(model, settings.model_copy(update=open_to_all))
    assert (engine.name, engine.precision) == ("openvino", "int8")


def test_other_weights_or_preprocessing_have_no_calibration(
    calibration: Calibration, model: Model, settings: Settings
) -> None:
    assert find_calibration(model, settings) == calibration
    for other in (
        dataclasses.replace(model, weights_sha256="0" * 64),
        dataclasses.replace(model, preprocessing=Preprocessing(resize=80, crop=64)),
    ):
        with pytest.raises(UsageError, match=r"SCORER_PRECISION=int8: no calibration .* run `streamscorer calibrate`"):
            OpenVinoEngine(other, settings)


@pytest.fixture
def copied(calibration: Calibration, model: Model, settings: Settings, tmp_path: Path) -> tuple[Path, Settings]:
    """The calibration's folder, to be spoilt."""
    shutil.copytree(settings.data_dir, tmp_path / "data")
    (folder,) = (tmp_path / "data" / "calibrations").iterdir()
    return folder, settings.model_copy(update={"data_dir": tmp_path / "data"})


def test_a_calibration_below_its_bound_is_not_used(copied: tuple[Path, Settings], model: Model) -> None:
    folder, settings = copied
    facts = json.loads((folder / "facts.json").read_text())
    (folder / "facts.json").write_text(json.dumps(facts | {"bound": 0.999}))
    with pytest.raises(UsageError, match="no calibration"):
        OpenVinoEngine(model, settings)


@pytest.mark.parametrize("ending", [".xml", ".bin"])
def test_a_damaged_network_is_not_used(copied: tuple[Path, Settings], model: Model, ending: str) -> None:
    folder, settings = copied
    (file,) = folder.glob(f"*{ending}")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"is not what was written; run `streamscorer calibrate`"):
        OpenVinoEngine(model, settings)


def test_a_converted_network_is_read_from_the_cache(
    calibration: Calibration, model: Model, settings: Settings, tmp_path: Path
) -> None:
    # Other weights under the same digest: what comes back is what was converted before.
    other = dataclasses.replace(model, network=torch.nn.Identity())
    assert len(converted(other, settings).inputs) == 1
    shutil.copytree(settings.cache_dir / "networks", tmp_path / "networks")
    settings = settings.model_copy(update={"cache_dir": tmp_path})
    (folder,) = (tmp_path / "networks").iterdir()
    (file,) = folder.glob("*.bin")
    with file.open("r+b") as cut:
        cut.truncate(1000)
    exact = OpenVinoEngine(model, settings.model_copy(update={"precision": "fp32"}))
    assert exact.predict(BLACK.unsqueeze(0)).shape == (1, 1000)
    (made_again,) = folder.glob("*.bin")
    assert made_again.stat().st_size > 1000
