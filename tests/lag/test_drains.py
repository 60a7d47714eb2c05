"""What is told half way through a real drain comes true."""

import asyncio
import statistics

import pytest

from settings import Settings
from tests.lag.drains import GOAL, drained, table
from tests.lag.shapes import shapes

SHORT = {"steady": 0.5, "records still arrive": 0.5, "pauses": 0.6, "up and down": 0.6}


@pytest.mark.soak
@pytest.mark.timeout(200)
async def test_the_eta_half_way_through_a_real_drain_is_right_within_a_fifth(kafka: str, migrated_url: str) -> None:
    settings = Settings(kafka_bootstrap_servers=kafka, database_url=migrated_url, _env_file=None)
    chosen = [shape.shortened(SHORT[shape.name]) for shape in shapes() if shape.name in SHORT]
    found = await asyncio.gather(*(drained(settings, shape) for shape in chosen))
    assert statistics.median(one.error for one in found) < GOAL, table(found)
