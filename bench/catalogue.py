"""Every case by name."""

from importlib import import_module
from importlib.util import find_spec

from bench.cases import Case
from errors import UsageError

NAMES = ("stream", "predict", "mixed", "cache", "memory", "overhead", "start", "accuracy", "peers", "scale")
"""In the order in which they are run when none is named. The module of each is `bench.NAME` and holds its CASE."""
ON_DEMAND = frozenset({"accuracy", "peers", "scale"})
"""Long, or with installations of their own: only where they are named."""


def chosen(names: list[str]) -> list[Case]:
    """The cases of these names; without names all that are not on demand. Raises UsageError for an unknown name."""
    there = [name for name in NAMES if find_spec(f"bench.{name}") is not None]
    if unknown := sorted(set(names) - set(there)):
        raise UsageError(f"no case {', '.join(unknown)}: there are {', '.join(there)}")
    wanted = [name for name in there if name in names] if names else [name for name in there if name not in ON_DEMAND]
    return [_case(name) for name in wanted]


def _case(name: str) -> Case:
    case = import_module(f"bench.{name}").CASE
    assert isinstance(case, Case)
    return case
