"""Failures as problem+json: the table is complete, its addresses are stable, and 503 always says when to return."""

import re

import pytest

import errors
from api.problems import BUG, PROBLEMS, problem_of, problem_type, retry_after

# What only the consumer, or a command, can meet.
ELSEWHERE = {errors.SourceExpired, errors.UnreadableRecord, errors.ProcessCrashed}


def leaves(kind: type[errors.ScorerError]) -> list[type[errors.ScorerError]]:
    below = [leaf for child in kind.__subclasses__() for leaf in leaves(child)]
    return [kind, *below]


@pytest.mark.parametrize("kind", [*leaves(errors.Invalid)[1:], *leaves(errors.Transient)[1:]])
def test_every_failure_of_input_or_world_is_in_the_table(kind: type[errors.ScorerError]) -> None:
    assert (problem_type(kind("x")) is BUG) == (kind in ELSEWHERE)


@pytest.mark.parametrize("kind", leaves(errors.Invalid)[1:])
def test_no_input_is_a_server_error(kind: type[errors.ScorerError]) -> None:
    assert kind in ELSEWHERE or 400 <= problem_of(kind("x")).status < 500


def test_names_are_unique_and_fit_into_a_path() -> None:
    names = [kind.name for kind in PROBLEMS.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in names)


def test_503_and_only_503_says_when_to_return() -> None:
    for kind, row in PROBLEMS.items():
        wait = retry_after(kind("x"))
        assert (wait is not None) == (row.status == 503), kind
        assert wait is None or wait >= 1


@pytest.mark.parametrize(("hint_s", "header"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.2, 2), (30.0, 30)])
def test_retry_after_is_rounded_up_to_whole_seconds(hint_s: float, header: int) -> None:
    assert retry_after(errors.Overloaded("full", retry_after_s=hint_s)) == header
