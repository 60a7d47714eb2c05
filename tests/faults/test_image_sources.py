"""Slow, failing and lying image sources: each gets its reason, and no other partition waits for them."""

import asyncio
import hashlib
import itertools
import json
from functools import partial

import pytest
from aiokafka import TopicPartition

from settings import Settings
from sources.fetcher import open_fetcher
from sources.limits import FetchLimits
from tests.consumer import conftest as consumer
from tests.consumer.conftest import PARTITIONS, running
from tests.consumer.test_worker import cloud_event, drained, servers, url
from tests.inference.pictures import encode, photo
from tests.kafka_tools import Header, committed_offsets, publish, rows
from tests.sources.web_server import Script, Send, WebServer, answer, web_server
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("engines")
IMAGE = encode(photo(), "JPEG")
DEADLINE_S = 4.0
LIMITS = FetchLimits(max_bytes=2**20, total_s=5.0, connect_s=1.0, read_s=0.5)
GOOD = 20


async def silent(send: Send) -> None:
    await asyncio.Event().wait()


async def endless(send: Send) -> None:
    await send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        await send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")


def changing() -> Script:
    """Another picture at every request."""
    pictures = itertools.count()

    async def send_next(send: Send) -> None:
        await send(answer(body=IMAGE + b"%d" % next(pictures)))

    return send_next


SCRIPTS: dict[str, Script] = {
    "/ok": answer(body=IMAGE),
    "/gone": answer("404 Not Found"),
    "/forbidden": answer("403 Forbidden"),
    "/broken": answer("500 Internal Server Error"),
    "/silent": silent,
    "/endless": endless,
    "/inside": answer("302 Found", location="http://169.254.169.254/latest/meta-data/"),
    "/changing": changing(),
    "/no-picture": answer(body=b"<html>Please log in</html>"),
}
REASONS = {
    "broken": "SourceUnavailable", "silent": "SourceUnavailable", "gone": "SourceNotFound",
    "forbidden": "SourceRefused", "endless": "ImageTooLarge", "inside": "SourceRefused", "changing": "SourceRefused",
    "no-picture": "InvalidImage",
}  # fmt: skip
"""In the order in which they stand in their partition: those that are asked again and again come first."""


def by_uri(server: WebServer, name: str) -> tuple[bytes, list[Header]]:
    body = {"id": name, "source": "/test", "image_uri": server.url(f"/{name}")}
    if name in ("ok", "changing"):
        body["sha256"] = hashlib.sha256(IMAGE).hexdigest()
    return json.dumps(body).encode(), []


async def behind(settings: Settings) -> set[int]:
    """Partitions with lag."""
    committed = await committed_offsets(servers(settings), settings.kafka_group_id)
    ends = {0: len(REASONS) + 1, **dict.fromkeys(range(1, PARTITIONS), GOOD)}
    found = {number: committed.get(TopicPartition(settings.kafka_topic, number), (0, ""))[0] for number in ends}
    return {number for number, end in ends.items() if found[number] != end}


async def test_sources_that_fail_get_their_reasons_while_the_other_partitions_have_no_lag(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "open_fetcher", partial(open_fetcher, limits=LIMITS))
    async with web_server(SCRIPTS) as server:
        settings = settings.model_copy(
            update={"uri_http_hosts": (f"127.0.0.1:{server.port}",), "source_deadline_s": DEADLINE_S}
        )
        failing = [by_uri(server, name) for name in [*REASONS, "ok"]]
        await publish(servers(settings), settings.kafka_topic, failing, partition=0)
        for partition in range(1, PARTITIONS):
            good = [(IMAGE, cloud_event(f"{partition}-{number}")) for number in range(GOOD)]
            await publish(servers(settings), settings.kafka_topic, good, partition=partition)
        async with running(settings) as scorer:
            await eventually(lambda: others_have_no_lag(settings), "the other partitions are drained")
            await eventually(lambda: scorer.count("scorer_paused", reason="source"), "it says that a source is away")
            assert await behind(settings) == {0}
            assert await rows(url(settings), "select 1 from dead_letters where reason = 'SourceUnavailable'") == []
            await eventually(partial(drained, settings))
            await eventually(lambda: not scorer.count("scorer_paused", reason="source"), "it says that it goes on")
    letters = await rows(url(settings), 'select event_id, reason from dead_letters order by "offset"')
    assert letters == list(REASONS.items())
    scored = await rows(url(settings), "select event_id from scores where kafka_partition = 0")
    assert scored == [("ok",)]
    assert len(await rows(url(settings), "select 1 from scores")) == 1 + (PARTITIONS - 1) * GOOD


async def others_have_no_lag(settings: Settings) -> bool:
    return await behind(settings) <= {0}


async def test_a_source_that_comes_back_within_its_deadline_costs_no_record(settings: Settings) -> None:
    outage = itertools.chain([answer("503 Busy"), b"", answer("500 Oops")], itertools.repeat(answer(body=IMAGE)))

    async def later(send: Send) -> None:
        await send(next(outage))

    async with web_server({"/later": later}) as server:
        settings = settings.model_copy(update={"uri_http_hosts": (f"127.0.0.1:{server.port}",)})
        await publish(servers(settings), settings.kafka_topic, [by_uri(server, "later"), (IMAGE, cloud_event("next"))])
        async with running(settings):
            await eventually(partial(drained, settings))
        assert len(server.requests) == 4
    assert await rows(url(settings), "select reason from dead_letters") == []
    assert len(await rows(url(settings), "select 1 from scores")) == 2
