"""Every case by name."""

from importlib import import_module
from importlib.util import find_spec
from typing import Final

from bench.cases import Case
from errors import UsageError

MODULES: Final = {
    "stream": "bench.stream",
    "predict": "bench.predict",
    "mixed": "bench.mixed",
    "cache": "bench.cache",
    "memory": "bench.memory",
    "overhead": "bench.no_model",
    "start": "bench.start",
    "watching": "bench.watching",
    "accuracy": "bench.accuracy",
    "peers": "bench.peers",
    "scale": "bench.scale",
}
"""In the order in which they are run when none is named. Each module holds a CASE."""
ON_DEMAND: Final = frozenset({"accuracy", "peers", "scale"})
"""Long, or with installations of their own: only where they are named."""


def chosen(names: list[str]) -> list[Case]:
    """The cases of these names; without names all that are not on demand. Raises UsageError for an unknown name."""
    there = [name for name, module in MODULES.items() if find_spec(module) is not None]
    if unknown := sorted(set(names) - set(there)):
        raise UsageError(f"no case {', '.join(unknown)}: there are {', '.join(there)}")
    wanted = [name for name in there if name in names] if names else [name for name in there if name not in ON_DEMAND]
    return [_case(MODULES[name]) for name in wanted]


def _case(module: str) -> Case:
    case = import_module(module).CASE
    assert isinstance(case, Case)
    return case
