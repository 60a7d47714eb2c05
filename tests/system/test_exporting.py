"""Of two processes that watch a group one exports its lag, and the other takes over when that one freezes or dies."""

import asyncio
import re
import signal
import time
import uuid
from collections import Counter
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from broker.topics import create_topics
from settings import KafkaSettings
from tests.system.processes import Command, command
from tests.waiting import eventually

SESSION_S, LAG_INTERVAL_S, PARTITIONS = 1.0, 0.5, 3


@pytest.fixture
async def watched(kafka: str) -> dict[str, Any]:
    """A group that has committed, and is consumed by nobody."""
    name = f"x-{uuid.uuid4().hex[:12]}"
    made = KafkaSettings(kafka_bootstrap_servers=kafka, kafka_topic=name, kafka_group_id=name)
    await create_topics(made, max_image_bytes=2**20, partitions=PARTITIONS)
    async with AIOKafkaConsumer(bootstrap_servers=kafka, group_id=name, enable_auto_commit=False) as consumer:
        consumer.assign([TopicPartition(name, 0)])
        await consumer.commit({TopicPartition(name, 0): 0})
    return {
        "kafka_bootstrap_servers": kafka,
        "kafka_topic": name,
        "kafka_group_id": name,
        "kafka_session_timeout_s": SESSION_S,
        "lag_interval_s": LAG_INTERVAL_S,
        "health_port": 0,
    }


class Scraper:
    """Asks both for their metrics at the same time, as often as it is told to."""

    def __init__(self, urls: dict[str, str], client: httpx.AsyncClient) -> None:
        self._urls = urls
        self._client = client

    async def exporters(self) -> list[str]:
        """Who exports lag. No series may come from two."""
        scrapes = dict(zip(self._urls, await asyncio.gather(*map(self._lag, self._urls.values())), strict=True))
        assert [series for series, times in sum(map(Counter, scrapes.values()), Counter()).items() if times > 1] == []
        return [name for name, series in scrapes.items() if series]

    async def alone(self, name: str) -> bool:
        return await self.exporters() == [name]

    async def _lag(self, url: str) -> list[str]:
        try:
            text = (await self._client.get(f"{url}/metrics", timeout=0.5)).text
        except httpx.HTTPError:
            return []  # frozen, or dead
        series = re.findall(r"^((?:scorer_consumer_lag|kafka_)\S+) ", text, re.MULTILINE)
        assert not series or sum("scorer_consumer_lag_records" in one for one in series) == PARTITIONS
        return series


@pytest.mark.soak
async def test_each_series_of_the_lag_comes_from_one_process_whatever_happens_to_the_other(
    watched: dict[str, Any],
) -> None:
    async with (
        command("monitor", settings=watched) as one,
        command("monitor", settings=watched) as other,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        processes: dict[str, Command] = {"one": one, "other": other}
        urls = dict(zip(processes, await asyncio.gather(one.line("http://"), other.line("http://")), strict=True))
        scraper = Scraper(urls, client)
        (first,) = await eventually(scraper.exporters)
        (second,) = set(processes) - {first}

        processes[first].send(signal.SIGSTOP)
        await eventually(lambda: scraper.alone(second), within_s=8 * SESSION_S)
        processes[first].send(signal.SIGCONT)
        awake = time.monotonic() + SESSION_S
        while time.monotonic() < awake:
            assert await scraper.exporters() == [second]

        processes[second].send(signal.SIGKILL)
        await eventually(lambda: scraper.alone(first), within_s=8 * SESSION_S)
