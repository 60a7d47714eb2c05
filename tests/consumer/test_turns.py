"""A partition with a great backlog does not keep the others of its consumer waiting."""

import time

from torch import Tensor

from settings import Settings
from tests.consumer.conftest import running
from tests.consumer.test_worker import cloud_event, servers, url
from tests.faults.conftest import Engines, engines
from tests.kafka_tools import publish, rows
from tests.system.pictures import pictures
from tests.waiting import eventually

__all__ = ["engines"]
BACKLOG, OTHERS = 1200, 5
SCORED = "select kafka_partition, count(*) from scores group by 1"


async def test_a_few_records_of_other_partitions_are_scored_long_before_a_backlog_that_came_first(
    settings: Settings, engines: Engines
) -> None:
    def slow(batch: Tensor) -> None:
        time.sleep(0.01 * len(batch))

    engines.before = slow
    small = list(pictures(50))
    hot = [(small[n % 50], cloud_event(f"hot-{n}")) for n in range(BACKLOG)]
    await publish(servers(settings), settings.kafka_topic, hot, partition=0)

    async def scored() -> dict[int, int]:
        return dict(await rows(url(settings), SCORED))

    async def some() -> bool:
        return bool(await scored())

    async def others_done() -> dict[int, int]:
        found = await scored()
        return found if found.get(1) == found.get(2) == OTHERS else {}

    async with running(settings):
        await eventually(some)
        for partition in (1, 2):
            few = [(small[n], cloud_event(f"{partition}-{n}")) for n in range(OTHERS)]
            await publish(servers(settings), settings.kafka_topic, few, partition=partition)
        before = (await scored())[0]
        found = await eventually(others_done)
        assert found[0] - before < BACKLOG / 2
