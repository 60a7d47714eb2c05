"""The one door to OpenVINO and NNCF: imported when they are chosen, silent, and without their telemetry."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from errors import UsageError


def installed() -> bool:
    """Whether OpenVINO can be imported; without importing it."""
    return find_spec("openvino") is not None


def openvino() -> Any:
    """The package. Raises UsageError where it is not installed."""
    return _imported("openvino", "SCORER_ENGINE=openvino")


def nncf() -> Any:
    """The package that quantizes. Raises UsageError where it is not installed."""
    return _imported("nncf", "calibrating for int8")


@contextmanager
def quiet() -> Iterator[None]:
    """Their remarks on torch's internals are nobody's concern. For one thread at a time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _imported(name: str, purpose: str) -> Any:
    # Both report their use to a server unless this package is missing, which they take for a no.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # how Python marks what must not be imported
    try:
        with quiet():
            return import_module(name)
    except ImportError as error:
        raise UsageError(f"{purpose}: {name} is not installed; pip install 'streamscorer[openvino]'") from error
