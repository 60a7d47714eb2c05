"""What is told half way through a real drain comes true."""

import asyncio
import statistics

import pytest

from settings import Settings
from tests.lag.drains import GOAL, drained, table
from tests.lag.shapes import shapes

CHOSEN = ("steady", "records still arrive", "pauses", "up and down")
SHORTER = 0.7


@pytest.mark.soak
@pytest.mark.timeout(200)
async def test_the_eta_half_way_through_real_drains_is_right_within_a_fifth(kafka: str, migrated_url: str) -> None:
    settings = Settings(kafka_bootstrap_servers=kafka, database_url=migrated_url, _env_file=None)
    shorter = [shape.shortened(SHORTER) for shape in shapes() if shape.name in CHOSEN]
    found = await asyncio.gather(*(drained(settings, shape) for shape in shorter))
    assert statistics.median(one.error for one in found) < GOAL, table(found)
