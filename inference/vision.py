"""What we need of torchvision; the one place that imports it, since how it is imported decides a quarter of each start.

`torchvision.ops` takes one function out of torch's compiler when it is loaded, for detectors on CUDA to call; that
loads all of the compiler, which nothing here uses. So a stand-in is in its place until torchvision is there.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

__all__ = ["Bottleneck", "ImageReadMode", "ResNet50_Weights", "decode_jpeg", "resnet50"]
_COMPILER = "torch._dynamo"
_ASKED = f"{_COMPILER}.utils"


def _is_compile_supported(device: str) -> bool:
    """The function that is asked for: the true one answers whoever calls it."""
    from torch._dynamo.utils import is_compile_supported

    return bool(is_compile_supported(device))


@contextmanager
def _without_compiler() -> Iterator[None]:
    if _COMPILER in sys.modules:
        yield
        return
    package, asked = ModuleType(_COMPILER), ModuleType(_ASKED)
    package.__path__ = []
    vars(asked)["is_compile_supported"] = _is_compile_supported
    sys.modules |= {_COMPILER: package, _ASKED: asked}
    try:
        yield
    finally:
        del sys.modules[_ASKED], sys.modules[_COMPILER]


try:
    with _without_compiler():
        import torchvision
except ImportError:  # another torchvision may ask the compiler for more
    import torchvision  # noqa: F401

from torchvision.io import ImageReadMode, decode_jpeg  # noqa: E402
from torchvision.models import ResNet50_Weights, resnet50  # noqa: E402
from torchvision.models.resnet import Bottleneck  # noqa: E402
