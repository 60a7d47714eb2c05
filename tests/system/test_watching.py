"""The roles that watch: `all` tells its own lag, and `monitor` tells it still when nobody consumes any more."""

import asyncio
import re
import signal
from functools import partial
from typing import Any

import httpx
import pytest

from tests.kafka_tools import publish
from tests.system.pictures import pictures
from tests.system.processes import Command, command
from tests.waiting import eventually


async def asked(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """The report; {} while there is none."""
    answer = await client.get(f"{url}/lag")
    body: dict[str, Any] = answer.json()
    assert answer.status_code in (200, 503), body
    return body if answer.status_code == 200 else {}


async def address(process: Command) -> str:
    return await process.line("http://")


@pytest.mark.soak
@pytest.mark.timeout(200)
async def test_lag_is_told_while_it_is_consumed_and_when_the_consumer_is_killed(
    kafka: str, scorer_settings: dict[str, Any]
) -> None:
    topic = str(scorer_settings["kafka_topic"])
    settings = scorer_settings | {"lag_interval_s": 0.5, "health_port": 0, "port": 0}
    async with (
        command("monitor", settings=settings) as monitor,
        command("all", settings=settings) as everything,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        ours, theirs = await asyncio.gather(address(everything), address(monitor))
        await publish(kafka, topic, [(image, []) for image in pictures(30)])

        async def up_to_date(url: str) -> bool:
            report = await asked(client, url)
            ends = sum(found["end_offset"] for found in report.get("partitions", []))
            return ends == 30 and bool(report["lag"] == 0)

        for url in (ours, theirs):
            await eventually(partial(up_to_date, url))
            report = await asked(client, url)
            assert (report["status"], report["members"]) == ("OK", 1)
            assert {found["owner"].partition("@")[2] for found in report["partitions"]} == {"127.0.0.1"}
            assert {found["state"] for found in report["partitions"]} <= {"idle", "running"}

        async def exported(by: tuple[str, ...]) -> bool:
            """Each partition's lag, once."""
            text = "".join([(await client.get(f"{url}/metrics")).text for url in by])
            found = re.findall(rf'^scorer_consumer_lag_records{{partition="(\d)",topic="{topic}"}}', text, re.MULTILINE)
            assert len(found) == len(set(found))
            return len(found) == 6

        await eventually(partial(exported, (ours, theirs)))
        everything.send(signal.SIGKILL)
        await everything.end()
        await publish(kafka, topic, [(image, []) for image in pictures(6)])

        async def stopped() -> bool:
            return (await asked(client, theirs)).get("status") == "STOP"

        await eventually(stopped)
        await eventually(partial(exported, (theirs,)))
        report = await asked(client, theirs)
        assert "no consumer is running since " in report["reason"]
        assert "the last one left no farewell" in report["reason"]
        assert report["lag"] == 6
        monitor.send(signal.SIGTERM)
        assert await monitor.end(within_s=10) == 0
        assert not any("Traceback" in line for line in monitor.stderr)
