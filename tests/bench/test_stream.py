"""How the stream's rate is taken."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.bare import Bare
from bench.children import Child, start
from bench.stream import between_commits, cpu_ratio


@pytest.fixture
async def child(tmp_path: Path) -> AsyncIterator[Child]:
    async with start("asyncio", [], {}, tmp_path) as started:
        yield started


def test_the_rate_is_that_between_the_first_commit_and_the_last() -> None:
    # What came before the first commit, a start and a whole batch, has no part in it.
    assert between_commits([(100.0, 64), (101.0, 10), (104.0, 30)]) == 10.0


def test_a_single_commit_has_no_rate() -> None:
    assert between_commits([(100.0, 64)]) is None


def test_a_layer_that_costs_half_as_much_again_keeps_two_thirds(child: Child) -> None:
    bare = Bare(child, "torch", "fp32", "cpu", 8)
    bare.cpu_us += [9999.0, 200.0, 220.0]  # the first one chose how many images a round has
    result = cpu_ratio("stream", bare, [9999.0, 300.0, 330.0], 2)
    assert result.figures == pytest.approx((2 / 3, 2 / 3))


def test_an_engine_on_another_device_says_so(child: Child) -> None:
    assert Bare(child, "torch", "fp16", "cuda:0", 8).engine == "torch fp16 cuda:0"
