"""Which engine runs: what is named is obeyed, what is left open is measured once, a broken memory stops no start."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from errors import UsageError
from inference import choice, cores, measurement
from inference.choice import open_engine
from inference.model import Model, load_model
from inference.openvino_engine import OpenVinoEngine
from inference.torch_engine import TorchEngine
from settings import Settings


@pytest.fixture(scope="module")
def model(small_model: Settings) -> Model:
    return load_model(small_model)


@pytest.fixture
def auto(small_model: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Everything left open, nothing measured yet; measuring is short."""
    monkeypatch.setattr(choice, "OTHERS_S", 600.0)
    monkeypatch.setattr(measurement, "BATCH_S", 0.01)
    monkeypatch.setattr(measurement, "ALONE_S", 0.01)
    (small_model.cache_dir / "networks").mkdir(parents=True, exist_ok=True)
    (tmp_path / "networks").symlink_to(small_model.cache_dir / "networks")
    return small_model.model_copy(
        update={"engine": "auto", "precision": "auto", "cache_dir": tmp_path, "data_dir": tmp_path}
    )


def opened(model: Model, settings: Settings, **options: str) -> tuple[str, str]:
    """Engine and precision."""
    engine = open_engine(model, settings.model_copy(update=options))
    return engine.name, engine.precision


def speeds(settings: Settings) -> Path:
    (file,) = (settings.cache_dir / "speeds").iterdir()
    return file


@pytest.mark.parametrize("engine", ["torch", "openvino"])
@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_what_is_named_is_obeyed_and_nothing_is_measured(
    model: Model, auto: Settings, engine: str, precision: str
) -> None:
    assert opened(model, auto, engine=engine, precision=precision) == (engine, "fp32")
    assert not (auto.cache_dir / "speeds").exists()


def test_all_candidates_are_measured_once_and_the_fastest_one_runs(model: Model, auto: Settings) -> None:
    chosen = opened(model, auto)
    found = json.loads(speeds(auto).read_text())
    rates = {(speed["engine"], speed["precision"]): speed["images_per_s"] for speed in found["speeds"]}
    assert {("torch", "fp32"), ("openvino", "fp32")} <= set(rates)
    assert rates[chosen] == max(rates.values())
    assert not [precision for _, precision in rates if precision == "int8"]
    # Where it is remembered, it is what was remembered that decides.
    for speed in found["speeds"]:
        speed["images_per_s"] = 1e6 if (speed["engine"], speed["precision"]) == ("torch", "fp32") else 1
    speeds(auto).write_text(json.dumps(found))
    assert opened(model, auto) == ("torch", "fp32")


def test_a_named_precision_is_kept_while_the_engine_is_chosen(model: Model, auto: Settings) -> None:
    assert opened(model, auto, precision="fp32")[1] == "fp32"
    rates = json.loads(speeds(auto).read_text())["speeds"]
    assert {speed["precision"] for speed in rates} == {"fp32"}


def test_measuring_leaves_the_weights_as_they_were(model: Model, auto: Settings) -> None:
    before = next(model.network.parameters()).clone()
    choice._measure([("torch", "bf16"), ("torch", "fp32")], model, auto)
    assert torch.equal(next(model.network.parameters()), before)


@pytest.mark.parametrize("content", ["", "{}", '{"conditions": {}, "speeds": []}', "\0"])
def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    speed = measurement.Speed(engine="torch", precision="fp32", images_per_s=2, alone_per_s=1)
    measurement.remember({"processor": "this"}, (speed,), tmp_path)
    assert measurement.recall({"processor": "this"}, tmp_path) == (speed,)
    assert measurement.recall({"processor": "that"}, tmp_path) == ()
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    assert measurement.recall({"processor": "this"}, tmp_path) == ()


def test_a_memory_that_cannot_be_kept_stops_no_start(model: Model, auto: Settings) -> None:
    (auto.cache_dir / "speeds").write_text("in the way")
    assert opened(model, auto, precision="fp32")[1] == "fp32"


def test_other_conditions_are_measured_anew(model: Model, auto: Settings) -> None:
    known = [
        measurement.conditions(model, auto.model_copy(update=options), torch.device("cpu"))
        for options in ({}, {"threads": 2}, {"precision": "fp32"}, {"max_batch": 1})
    ]
    assert len({json.dumps(each) for each in known}) == 4


def test_int8_is_not_chosen_without_a_calibration(model: Model, auto: Settings) -> None:
    with pytest.raises(UsageError, match=r"SCORER_PRECISION=int8: no calibration .* run `streamscorer calibrate`"):
        opened(model, auto, precision="int8")


def test_an_engine_that_fails_is_not_chosen(model: Model, auto: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(choice.ENGINES, "openvino", lambda *_: 1 / 0)
    assert opened(model, auto, precision="fp32") == ("torch", "fp32")
    monkeypatch.setitem(choice.ENGINES, "torch", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        opened(model, auto, precision="fp32", threads="3")


def test_without_openvino_torch_runs_and_naming_openvino_is_refused(
    model: Model, auto: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert opened(model, auto, precision="fp32") == ("torch", "fp32")
    assert not (auto.cache_dir / "speeds").exists()
    with pytest.raises(UsageError, match=r"openvino is not installed; pip install 'streamscorer\[openvino\]'"):
        opened(model, auto, engine="openvino")


def test_under_a_quota_of_one_processor_an_engine_has_one_thread(
    model: Model, auto: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "membership").write_text("0::/app\n")
    monkeypatch.setattr(cores, "usable_cores", partial(cores.usable_cores, tmp_path, tmp_path / "membership"))
    settings = auto.model_copy(update={"threads": 0})
    torch.set_num_threads(3)
    TorchEngine(model, settings).predict(torch.zeros(1, 3, 64, 64))
    assert torch.get_num_threads() == 1
    compiled = OpenVinoEngine(model, settings)._network._requests[torch.uint8].get_compiled_model()
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
