"""A stop ends within its deadline, whatever is dead; what ended a process is survived by the next one."""

import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.consumer.test_worker import cloud_event
from tests.faults.brokers import run_brokers
from tests.faults.members import Member, group_of_its_own, plain_picture, start_member
from tests.faults.proxy import run_proxy
from tests.kafka_tools import lag, publish, rows
from tests.system.pictures import pictures
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(180)
DRAIN_S = 4.0
CLOSE_S = 3.0
SLACK_S = 2.0
"""Two busy cores: how late a process may notice."""


async def made(servers: str, database_url: str, partitions: int = 1) -> dict[str, Any]:
    return await group_of_its_own(servers, database_url, partitions) | {"drain_timeout_s": DRAIN_S}


async def put(settings: dict[str, Any], count: int = 20) -> None:
    records = [(image, cloud_event(f"{n}")) for n, image in enumerate(pictures(count))]
    await publish(settings["kafka_bootstrap_servers"], settings["kafka_topic"], records)


async def stops_in_time(member: Member) -> int:
    began = time.monotonic()
    member.stop()
    code = await member.end(DRAIN_S + CLOSE_S + SLACK_S + 20)
    assert time.monotonic() - began < DRAIN_S + CLOSE_S + SLACK_S
    return code


async def test_the_drain_ends_in_time_with_a_hung_engine(kafka: str, migrated_url: str) -> None:
    settings = await made(kafka, migrated_url)
    await put(settings)
    async with await start_member(settings, trap="engine:hang") as member:
        await eventually(lambda: "trap: engine:hang" in member.lines)
        assert await stops_in_time(member) == 1


@pytest.mark.soak
async def test_the_drain_ends_in_time_with_a_silent_database(kafka: str, migrated_url: str) -> None:
    real = urlsplit(migrated_url).port or 5432
    async with run_proxy(real) as proxy:
        settings = await made(kafka, migrated_url.replace(f":{real}/", f":{proxy.port}/"))
        async with await start_member(settings) as member:
            await member.joined()
            proxy.go_silent()
            await put(settings)
            await eventually(lambda: any('"waiting"' in line for line in member.lines))
            assert await stops_in_time(member) == 1


@pytest.mark.soak
async def test_the_drain_ends_in_time_with_a_dead_broker(jars: Path, migrated_url: str, tmp_path: Path) -> None:
    async with run_brokers(tmp_path, jars) as brokers:
        settings = await made(brokers.bootstrap_servers, migrated_url)
        async with await start_member(settings) as member:
            await member.joined()
            await put(settings)
            await brokers.kill(1)
            code = await stops_in_time(member)
        assert code in (0, 1)  # 0 where all was committed before the broker died


@pytest.mark.soak
async def test_a_hung_engine_is_ended_by_the_watchdog_and_the_next_process_goes_on(
    kafka: str, migrated_url: str
) -> None:
    settings = await made(kafka, migrated_url)
    await put(settings)
    async with await start_member(settings | {"stall_timeout_s": 3}, trap="engine:hang") as member:
        assert await member.end() == 1
        assert any('"no progress"' in line for line in member.lines)
    await finish(settings)
    assert await rows(migrated_url, "select count(*) from scores") == [(20,)]


async def finish(settings: dict[str, Any], trap: str | None = None) -> list[int]:
    """What a supervisor does until all is decided; the exit codes of those that crashed."""
    crashed: list[int] = []
    while True:
        async with await start_member(settings, trap=trap) as member:

            async def over(member: Member = member) -> bool:
                servers, topic = settings["kafka_bootstrap_servers"], settings["kafka_topic"]
                return not member.running or await lag(servers, topic, topic) == 0

            await eventually(over)
            if member.running:
                member.stop()
                assert await member.end() == 0
                return crashed
            crashed.append(await member.end())


@pytest.mark.soak
async def test_a_picture_that_kills_the_process_is_dead_lettered_after_a_few_kills(
    kafka: str, migrated_url: str
) -> None:
    settings = await made(kafka, migrated_url, partitions=2)
    await put(settings)
    poison = plain_picture("c81e96")
    await publish(kafka, settings["kafka_topic"], [(poison, cloud_event("deadly"))], partition=0)
    await publish(
        kafka, settings["kafka_topic"], [(image, cloud_event(f"after-{n}")) for n, image in enumerate(pictures(5))]
    )
    assert await finish(settings, "engine:kill-on:c81e96") in ([-9] * 4, [-9] * 5)
    assert await rows(migrated_url, "select reason, value from dead_letters") == [("ProcessCrashed", poison)]
    assert await rows(migrated_url, "select count(*) from scores") == [(25,)]
