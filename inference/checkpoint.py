"""A checkpoint file to a ResNet50: read it safely, check that it fits, digest it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from errors import UsageError
from inference.vision import resnet50

Weights = dict[str, Tensor]
SUFFIXES = (".pt", ".pth", ".safetensors")
_COUNTER = ".num_batches_tracked"
"""Of batch norm while training; says nothing about what the model computes."""


def read_weights(path: Path) -> Weights:
    """The tensors of a .pt, .pth or .safetensors file, as fp32 on the CPU. Raises UsageError, one line for each way."""
    if not path.exists():
        raise UsageError(f"SCORER_WEIGHTS={path}: there is no such file")
    if path.is_dir():
        raise UsageError(f"SCORER_WEIGHTS={path}: this is a folder; name the checkpoint in it ({', '.join(SUFFIXES)})")
    if path.suffix not in SUFFIXES:
        raise UsageError(f"SCORER_WEIGHTS={path}: a checkpoint ends with {', '.join(SUFFIXES)}")
    content: object
    try:
        if path.suffix == ".safetensors":
            content = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise UsageError(f"SCORER_WEIGHTS={path}: {error.strerror}") from error
    except MemoryError:
        raise
    except Exception as error:
        raise UsageError(
            f"SCORER_WEIGHTS={path}: cannot be read as a checkpoint of tensors alone; "
            f"it is damaged, cut short, or holds something else ({_first_line(error)})"
        ) from error
    return _tensors(content, path)


def build(weights: Weights, origin: str) -> nn.Module:
    """A ResNet50 in eval mode that holds `weights`; the head's width decides the classes. Raises UsageError."""
    head = weights.get("fc.weight")
    classes = head.shape[0] if head is not None and head.ndim == 2 else 1000
    with torch.device("meta"), _NoRandomness():
        model: nn.Module = resnet50(num_classes=classes)
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items() if not name.endswith(_COUNTER)}
    given = {name: tensor.shape for name, tensor in weights.items()}
    complaints = [
        _complaint("missing", [name for name in wanted if name not in given]),
        _complaint("not expected", [name for name in given if name not in wanted]),
        _complaint(
            "of another shape",
            [
                f"{name} is {_shape(given[name])}, expected {_shape(shape)}"
                for name, shape in wanted.items()
                if name in given and given[name] != shape
            ],
        ),
    ]
    if any(complaints):
        raise UsageError(f"{origin}: these are not the weights of a ResNet50: {'; '.join(filter(None, complaints))}")
    counters = {name: torch.tensor(0) for name in model.state_dict() if name.endswith(_COUNTER)}
    model.load_state_dict(weights | counters, assign=True)
    return model.requires_grad_(requires_grad=False).eval()


class _NoRandomness(TorchFunctionMode):
    """For weights that others replace. Random numbers on the meta device would load torch's compiler, for a second."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))


def digest(weights: Weights) -> str:
    """Lower hex sha256 over names, shapes and fp32 values, whatever file they came from."""
    sha256 = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        sha256.update(f"{name} {_shape(tensor.shape)}\n".encode())
        sha256.update(tensor.contiguous().numpy().astype("<f4", copy=False).data)
    return sha256.hexdigest()


def _tensors(content: object, path: Path) -> Weights:
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise UsageError(f"SCORER_WEIGHTS={path}: holds a {type(content).__name__}, not a state_dict of named tensors")
    odd = [str(name) for name, value in content.items() if not isinstance(value, Tensor)]
    if odd:
        raise UsageError(f"SCORER_WEIGHTS={path}: not a state_dict of tensors: {_complaint('no tensors', odd)}")
    wrapped = all(str(name).startswith("module.") for name in content)
    named = {str(name).removeprefix("module.") if wrapped else str(name): value for name, value in content.items()}
    named = {name: value for name, value in named.items() if not name.endswith(_COUNTER)}
    strange = [f"{name} is {value.dtype}" for name, value in named.items() if not value.is_floating_point()]
    if strange:
        raise UsageError(f"SCORER_WEIGHTS={path}: weights must be floating point: {_complaint('others', strange)}")
    weights = {name: value.detach().to(torch.float32).contiguous() for name, value in named.items()}
    broken = [name for name, value in weights.items() if not value.isfinite().all()]
    if broken:
        raise UsageError(f"SCORER_WEIGHTS={path}: holds NaN or infinite values: {_complaint('tensors', broken)}")
    return weights


def _complaint(what: str, items: list[str]) -> str:
    more = ", ..." if len(items) > 3 else ""
    return f"{len(items)} {what} ({', '.join(items[:3])}{more})" if items else ""


def _shape(shape: torch.Size) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
