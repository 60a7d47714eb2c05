"""torchvision comes without torch's compiler, and whoever wants the compiler gets the real one."""

import subprocess
import sys
from pathlib import Path

from tests.cli.commands import ROOT
from tests.cli.test_imports import loaded

COMPILER = "torch._dynamo"
LATER = """
import sys
import inference.vision
assert "torch._dynamo" not in sys.modules
from torchvision.ops import roi_align
from torchvision.ops.roi_align import is_compile_supported
import torch
from torch._dynamo.utils import counters, is_compile_supported as real
assert is_compile_supported("cpu") == real("cpu")
assert roi_align(torch.ones(1, 1, 4, 4), [torch.tensor([[0.0, 0.0, 4.0, 4.0]])], 2).shape == (1, 1, 2, 2)
"""
MORE = """
import sys
import inference.vision
assert inference.vision.resnet50 == "resnet50"
from torch._dynamo.utils import counters
assert sys.modules["torchvision.ops"].counters is counters
"""


def run(code: str, *paths: Path) -> None:
    path = [*map(str, paths), str(ROOT)]
    subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {path}\n{code}"], check=True, timeout=100)


def test_a_model_is_loaded_and_run_without_the_compiler(checkpoint: Path) -> None:
    modules = loaded(["predict", str(ROOT / "samples" / "flower.jpg")], weights=checkpoint)
    assert "torchvision.models" in modules
    assert COMPILER not in modules


def test_the_compiler_is_there_for_who_asks_for_it_later() -> None:
    run(LATER)


def test_a_torchvision_that_asks_the_compiler_for_more_gets_it(tmp_path: Path) -> None:
    package = tmp_path / "torchvision"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("from torchvision import ops")
    (package / "ops.py").write_text("from torch._dynamo.utils import counters, is_compile_supported")
    (package / "io.py").write_text("ImageReadMode = decode_jpeg = None")
    (package / "models" / "__init__.py").write_text("ResNet50_Weights, resnet50 = None, 'resnet50'")
    (package / "models" / "resnet.py").write_text("Bottleneck = None")
    run(MORE, tmp_path)
