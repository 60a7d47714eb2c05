"""Checkpoints: every wrong one is one clear line; a version names weights, labels and preprocessing, not the file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from structlog.testing import capture_logs
from torchvision.models import resnet18

from errors import UsageError
from inference.model import Model, load_model
from settings import InferenceSettings

Save = Callable[[str, Any], Path]


@pytest.fixture(scope="module")
def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(checkpoint, weights_only=True)
    return loaded


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(name: str, content: Any) -> Path:
        path = tmp_path / name
        if path.suffix == ".safetensors":
            safetensors.torch.save_file(content, path)
        else:
            torch.save(content, path)
        return path

    return write


def load(path: Path | str, **options: object) -> Model:
    return load_model(InferenceSettings.model_validate({"weights": str(path)} | options))


def refusal(path: Path | str, **options: object) -> str:
    with pytest.raises(UsageError) as refused:
        load(path, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_missing_file_folder_and_other_endings(tmp_path: Path) -> None:
    assert "there is no such file" in refusal(tmp_path / "no.pt")
    assert "this is a folder" in refusal(tmp_path)
    (tmp_path / "model.onnx").touch()
    assert ".pt, .pth, .safetensors" in refusal(tmp_path / "model.onnx")
    assert "IMAGENET1K_V2, IMAGENET1K_V1, untrained" in refusal("IMAGENET1K_V3")


@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_truncated_file(save: Save, weights: dict[str, torch.Tensor], ending: str) -> None:
    path = save(f"whole{ending}", weights)
    path.write_bytes(path.read_bytes()[:50_000_000])
    assert "cut short" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\3\4" + bytes(100)])
@pytest.mark.parametrize("ending", [".pt", ".pth", ".safetensors"])
def test_something_else_in_the_file(tmp_path: Path, content: bytes, ending: str) -> None:
    path = tmp_path / f"odd{ending}"
    path.write_bytes(content)
    assert "cannot be read as a checkpoint" in refusal(path)


def test_a_pickle_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"fc.weight": Payload()}, tmp_path / "evil.pt")
    assert "tensors alone" in refusal(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_other_contents_than_a_state_dict(save: Save) -> None:
    assert "holds a list" in refusal(save("list.pt", [1, 2]))
    assert "not a state_dict of tensors: 2 no tensors (epoch, best)" in refusal(save("run.pt", {"epoch": 3, "best": 1}))
    assert "holds a dict" in refusal(save("empty.pt", {}))


def test_another_architecture_names_a_few_keys_and_counts(save: Save) -> None:
    line = refusal(save("resnet18.pt", resnet18().state_dict()))
    assert "not the weights of a ResNet50" in line
    assert "missing (layer1.0.conv3.weight" in line
    assert len(line) < 700


def test_another_shape_and_broken_values(save: Save, weights: dict[str, torch.Tensor]) -> None:
    line = refusal(save("wide.pt", weights | {"conv1.weight": torch.zeros(64, 1, 7, 7)}))
    assert "1 of another shape (conv1.weight is 64x1x7x7, expected 64x3x7x7)" in line
    assert "NaN" in refusal(save("nan.pt", weights | {"conv1.weight": weights["conv1.weight"] / 0}))
    assert "torch.int64" in refusal(save("int.pt", weights | {"conv1.weight": weights["conv1.weight"].long()}))


def test_labels_must_fit_the_head(save: Save, weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    ten = save("ten.pt", weights | {name: weights[name][:10] for name in ("fc.weight", "fc.bias")})
    labels = tmp_path / "labels.txt"
    assert "head has 10 classes" in refusal(ten)
    assert "SCORER_LABELS" in refusal(ten)
    labels.write_text("".join(f"label {number}\n" for number in range(9)), encoding="utf-8")
    assert "has 9 labels and the checkpoint's head has 10 classes" in refusal(ten, labels=labels)
    labels.write_bytes(b"\xff\xfe\xff")
    assert "not UTF-8" in refusal(ten, labels=labels)
    labels.write_text("a\n\nb", encoding="utf-8")
    assert "line 2 is empty" in refusal(ten, labels=labels)
    assert "No such file" in refusal(ten, labels=tmp_path / "none.txt")
    labels.write_bytes(b"\xef\xbb\xbf" + "".join(f"Äpfel {number}\r\n" for number in range(10)).encode())
    assert load(ten, labels=labels).labels == tuple(f"Äpfel {number}" for number in range(10))


def test_the_version_does_not_depend_on_the_file(
    save: Save, weights: dict[str, torch.Tensor], checkpoint: Path
) -> None:
    model = load(checkpoint)
    parameters = {name: value for name, value in weights.items() if "num_batches" not in name}
    assert load(save("same.safetensors", parameters)).version == model.version
    wrapped = {"epoch": 7, "state_dict": {f"module.{name}": value for name, value in weights.items()}}
    assert load(save("wrapped.pth", wrapped)).version == model.version
    assert model.version.startswith("resnet50-")
    assert len(model.version) == len("resnet50-") + 12
    assert model.weights == checkpoint.name


def test_fp16_checkpoints_are_read(save: Save, weights: dict[str, torch.Tensor], checkpoint: Path) -> None:
    halved = load(save("half.pt", {name: value.half() for name, value in weights.items() if value.is_floating_point()}))
    assert next(halved.network.parameters()).dtype == torch.float32
    assert halved.version != load(checkpoint).version


def test_the_version_changes_with_weights_labels_and_preprocessing(
    save: Save, weights: dict[str, torch.Tensor], checkpoint: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"label {number}" for number in range(1000)), encoding="utf-8")
    versions = {
        load(checkpoint).version,
        load(checkpoint, labels=labels).version,
        load(checkpoint, preprocessing="resize=256").version,
        load(save("other.pt", weights | {"fc.bias": weights["fc.bias"] + 1e-3})).version,
    }
    assert len(versions) == 4
    default = "resize=232,crop=224,mean=0.485/0.456/0.406,std=0.229/0.224/0.225"
    assert load(checkpoint, preprocessing=default).version in versions
    assert load(checkpoint, model_version="mine-1").version == "mine-1"
    assert load(checkpoint, model_name="pets").version.startswith("pets-")


def test_untrained_says_so_and_is_the_same_each_time() -> None:
    before = torch.random.get_rng_state()
    with capture_logs() as logs:
        first, second = load("untrained"), load("untrained")
    assert first.version == second.version
    assert first.version.startswith("resnet50-untrained-")
    info = first.info("torch", "fp32", "cpu")
    assert (info.untrained, info.weights) == (True, "untrained")
    assert any(entry["log_level"] == "warning" and "mean nothing" in entry["event"] for entry in logs)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_imagenet_labels_and_preprocessing_are_the_default(checkpoint: Path) -> None:
    model = load(checkpoint)
    assert (len(model.labels), model.labels[281]) == (1000, "tabby")
    assert (model.preprocessing.resize, model.preprocessing.crop) == (232, 224)
