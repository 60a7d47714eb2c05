"""Consumers as processes: they share the partitions, and one that is killed or stopped costs nothing."""

import signal
from typing import Any

import pytest

from tests.consumer.test_worker import cloud_event
from tests.kafka_tools import lag, publish, rows
from tests.system.pictures import pictures
from tests.system.processes import command
from tests.waiting import eventually


async def scored(url: str) -> int:
    (row,) = await rows(url, "select count(*) from scores")
    return int(row[0])


@pytest.mark.timeout(240)
async def test_a_killed_consumer_leaves_nothing_lost_and_nothing_twice(
    kafka: str, migrated_url: str, scorer_settings: dict[str, Any]
) -> None:
    topic, total = str(scorer_settings["kafka_topic"]), 240

    async def both_joined() -> bool:
        return all(any("partitions assigned" in line for line in member.stderr) for member in (first, second))

    async def drained() -> bool:
        return await lag(kafka, topic, topic) == 0

    async def some() -> bool:
        return await scored(migrated_url) > 0

    async with (
        command("consumer", settings=scorer_settings) as first,
        command("consumer", settings=scorer_settings) as second,
    ):
        await eventually(both_joined)
        records = [(image, cloud_event(f"{n}")) for n, image in enumerate(pictures(total))]
        await publish(kafka, topic, records)
        await eventually(some, within_s=60)
        first.send(signal.SIGKILL)
        await first.end()
        assert await scored(migrated_url) < total
        await eventually(drained, within_s=120)
        found = await rows(migrated_url, "select event_id from scores")
        assert sorted(int(row[0]) for row in found) == list(range(total))
        assert await rows(migrated_url, "select 1 from dead_letters") == []
        second.send(signal.SIGTERM)
        assert await second.end() == 0


@pytest.mark.timeout(240)
async def test_a_stopped_consumer_drains_and_the_next_one_repeats_nothing(
    kafka: str, migrated_url: str, scorer_settings: dict[str, Any]
) -> None:
    topic, total = str(scorer_settings["kafka_topic"]), 240
    records = [(image, cloud_event(f"{n}")) for n, image in enumerate(pictures(total))]
    await publish(kafka, topic, records)

    async def some() -> bool:
        return await scored(migrated_url) > 0

    async with command("consumer", settings=scorer_settings | {"drain_timeout_s": 20}) as consumer:
        await eventually(some, within_s=60)
        consumer.send(signal.SIGTERM)
        assert await consumer.end(within_s=25) == 0
    done = await scored(migrated_url)
    assert 0 < done < total
    assert await lag(kafka, topic, topic) == total - done

    async def drained() -> bool:
        return await lag(kafka, topic, topic) == 0

    async with command("consumer", settings=scorer_settings | {"health_port": 0}) as consumer:
        await eventually(drained, within_s=120)
        consumer.send(signal.SIGTERM)
        assert await consumer.end() == 0
    assert await scored(migrated_url) == total
    assert not any("redelivered" in line for line in consumer.stderr)


@pytest.mark.soak
async def test_a_second_signal_skips_the_drain(kafka: str, migrated_url: str, scorer_settings: dict[str, Any]) -> None:
    topic = str(scorer_settings["kafka_topic"])
    await publish(kafka, topic, [(image, []) for image in pictures(200)])
    async with command("consumer", settings=scorer_settings) as consumer:
        await consumer.line("partitions assigned")
        consumer.send(signal.SIGINT)
        consumer.send(signal.SIGINT)
        assert await consumer.end(within_s=20) in (0, 130)
