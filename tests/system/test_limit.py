"""A flood of dead letters ends the process with 3, and each start after it, until an operator resumes the group."""

from typing import Any

import pytest

from tests.consumer.test_worker import cloud_event
from tests.kafka_tools import lag, publish, rows
from tests.system.pictures import pictures
from tests.system.processes import command
from tests.waiting import eventually

LETTERS = "select count(*) from dead_letters"


@pytest.mark.soak
@pytest.mark.timeout(240)
async def test_a_flood_ends_every_start_with_3_until_the_group_is_resumed(
    kafka: str, migrated_url: str, scorer_settings: dict[str, Any]
) -> None:
    topic = str(scorer_settings["kafka_topic"])
    settings = scorer_settings | {"dead_letter_limit_window": 20, "port": 0}
    flood = [(b"junk", cloud_event(f"junk-{n}")) for n in range(15)]
    good = [(image, cloud_event(f"good-{n}")) for n, image in enumerate(pictures(30))]
    await publish(kafka, topic, flood, partition=0)

    async def drained() -> bool:
        return await lag(kafka, topic, topic) == 0

    for life in range(2):
        async with command("all", settings=settings) as running:
            assert await running.end() == 3, "\n".join(running.stderr[-20:])
            assert "dlq resume" in running.stderr[-1]
            assert life == 0 or "partitions assigned" not in "\n".join(running.stderr)
        assert await rows(migrated_url, LETTERS) == [(10,)]
        assert await lag(kafka, topic, topic) in (None, 5, 15)
    async with command("dlq", "resume", settings=settings) as resume:
        assert await resume.end() == 0
    await publish(kafka, topic, good, partition=1)
    async with command("all", settings=settings) as running:
        await eventually(drained, within_s=60)
        running.process.terminate()
        assert await running.end() == 0
    assert await rows(migrated_url, LETTERS) == [(15,)]
    assert await rows(migrated_url, "select count(*) from scores") == [(30,)]
