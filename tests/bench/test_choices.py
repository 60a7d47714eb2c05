"""What a user may ask the bench for."""

import pytest

from bench.catalogue import ON_DEMAND, chosen
from cli.bench import engines_of
from errors import UsageError
from settings import Settings


def test_without_names_the_short_cases_are_run() -> None:
    names = [case.name for case in chosen([])]
    assert names[:2] == ["stream", "predict"]
    assert not ON_DEMAND & set(names)


def test_cases_are_run_in_their_own_order() -> None:
    assert [case.name for case in chosen(["mixed", "stream"])] == ["stream", "mixed"]


def test_an_unknown_case_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="no case nonsense: there are stream, predict"):
        chosen(["stream", "nonsense"])


def test_several_engines_are_measured_one_after_the_other() -> None:
    found = engines_of(Settings(_env_file=None), "torch:fp32, openvino")
    assert [(one.engine, one.precision) for one in found] == [("torch", "fp32"), ("openvino", "auto")]


@pytest.mark.parametrize("wanted", ["abacus", "torch:fp32,abacus", "torch:fp7", ""])
def test_a_wrong_engine_is_named_with_what_is_allowed(wanted: str) -> None:
    with pytest.raises(UsageError, match="one of auto, torch, openvino, and behind a colon one of auto, fp32"):
        engines_of(Settings(_env_file=None), wanted)
