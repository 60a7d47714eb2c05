"""Trouble that is not the record's fault: one partition waits, the others go on, and nothing is lost."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest
from aiokafka import TopicPartition

from settings import Settings
from tests.checkpoints import sample_images
from tests.consumer.conftest import PARTITIONS, Running, running
from tests.consumer.test_worker import cloud_event, drained, servers, url
from tests.kafka_tools import committed_offsets, publish, rows
from tests.waiting import eventually

MIB = 1024 * 1024


class Gate:
    """An image source that says 503 until it is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.asked = threading.Event()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gate.asked.set()
                body = next(iter(sample_images().values())) if gate.open.is_set() else b""
                self.send_response(200 if body else 503)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def gate() -> Iterator[Gate]:
    source = Gate()
    thread = threading.Thread(target=source.server.serve_forever)
    thread.start()
    try:
        yield source
    finally:
        source.server.shutdown()
        thread.join()
        source.server.server_close()


def by_uri(gate: Gate, event_id: str) -> tuple[bytes, list[tuple[str, bytes]]]:
    body = {"id": event_id, "source": "/test", "image_uri": f"http://{gate.host}/{event_id}"}
    return json.dumps(body).encode(), []


async def offset_of(settings: Settings, partition: int) -> int:
    committed = await committed_offsets(servers(settings), settings.kafka_group_id)
    return committed.get(TopicPartition(settings.kafka_topic, partition), (-1, ""))[0]


async def others_done(settings: Settings, count: int) -> bool:
    return all([await offset_of(settings, number) == count for number in range(1, PARTITIONS)])


async def test_a_slow_source_holds_its_partition_and_no_other(settings: Settings, gate: Gate) -> None:
    image = list(sample_images().values())[1]
    settings = settings.model_copy(update={"uri_http_hosts": (gate.host,)})
    await publish(servers(settings), settings.kafka_topic, [by_uri(gate, "slow")], partition=0)
    behind = [(image, cloud_event(f"behind-{number}")) for number in range(70)]
    await publish(servers(settings), settings.kafka_topic, behind, partition=0)
    others = [(image, cloud_event(f"{partition}-{n}")) for n in range(5) for partition in range(1, PARTITIONS)]
    for partition in range(1, PARTITIONS):
        await publish(
            servers(settings), settings.kafka_topic, others[partition - 1 :: PARTITIONS - 1], partition=partition
        )
    async with running(settings):
        await eventually(partial(others_done, settings, 5))
        assert await offset_of(settings, 0) == 0
        assert await rows(url(settings), "select 1 from scores where kafka_partition = 0") == []
        gate.open.set()
        await eventually(partial(drained, settings))
    found = await rows(url(settings), "select event_id from scores where kafka_partition = 0 order by kafka_offset")
    assert [row[0] for row in found] == ["slow", *(f"behind-{number}" for number in range(70))]


async def test_a_source_that_stays_away_becomes_a_dead_letter_at_its_deadline(settings: Settings, gate: Gate) -> None:
    settings = settings.model_copy(update={"uri_http_hosts": (gate.host,), "source_deadline_s": 2.0})
    await publish(servers(settings), settings.kafka_topic, [by_uri(gate, "never")])
    async with running(settings):
        await eventually(partial(drained, settings))
    assert await rows(url(settings), "select reason, event_id from dead_letters") == [("SourceUnavailable", "never")]


async def test_a_stop_does_not_wait_for_a_slow_source_and_loses_nothing(settings: Settings, gate: Gate) -> None:
    settings = settings.model_copy(update={"uri_http_hosts": (gate.host,)})
    await publish(servers(settings), settings.kafka_topic, [by_uri(gate, "slow")], partition=0)
    async with asyncio.timeout(20):
        async with running(settings):
            await asyncio.to_thread(gate.asked.wait, 10)
    assert await offset_of(settings, 0) in (-1, 0)
    gate.open.set()
    async with running(settings):
        await eventually(partial(drained, settings))
    assert await rows(url(settings), "select event_id from scores") == [("slow",)]


@asynccontextmanager
async def locked_scores(database_url: str) -> AsyncIterator[None]:
    """Nobody else can use the table meanwhile: every statement runs into its time-out."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute("lock table scores in access exclusive mode")
        yield


async def waiting_for_store(scorer: Running) -> bool:
    wait = scorer.worker.waits.current
    return wait is not None and wait.part == "store"


async def test_a_store_that_is_away_is_waited_for_and_said(settings: Settings) -> None:
    image = next(iter(sample_images().values()))
    hang_up = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'streamscorer'"
    async with running(settings.model_copy(update={"statement_timeout_s": 0.5})) as scorer:
        async with locked_scores(url(settings)):
            await publish(servers(settings), settings.kafka_topic, [(image, cloud_event("1"))])
            await eventually(partial(waiting_for_store, scorer))
            assert "store" in str(await scorer.worker.trouble())
            assert scorer.count("scorer_paused", reason="store") == 1
            assert await offset_of(settings, 0) in (-1, 0)
        await eventually(partial(drained, settings))
        assert await scorer.worker.trouble() is None
        assert scorer.count("scorer_paused", reason="store") == 0
        await rows(url(settings), hang_up)
        await publish(servers(settings), settings.kafka_topic, [(image, cloud_event("2"))])
        await eventually(partial(drained, settings))
    assert len(await rows(url(settings), "select 1 from scores")) == 2


async def held(scorer: Running, settings: Settings) -> bool:
    lane = scorer.worker._assignment.lanes.get(TopicPartition(settings.kafka_topic, 0))
    return lane is not None and lane.held is not None and scorer.count("scorer_inflight_records") == 0


async def test_large_records_behind_a_slow_source_leave_room_for_the_other_partitions(
    settings: Settings, gate: Gate
) -> None:
    image = next(iter(sample_images().values()))
    settings = settings.model_copy(update={"uri_http_hosts": (gate.host,), "memory_budget_mb": 2048})
    await publish(servers(settings), settings.kafka_topic, [by_uri(gate, "slow")], partition=0)
    for _ in range(20):
        await publish(servers(settings), settings.kafka_topic, [(bytes(7 * MIB), [])], partition=0)
    async with running(settings) as scorer:
        await eventually(partial(held, scorer, settings))
        for partition in range(1, PARTITIONS):
            await publish(
                servers(settings), settings.kafka_topic, [(image, cloud_event(f"{partition}"))], partition=partition
            )
        await eventually(partial(others_done, settings, 1))
        assert await offset_of(settings, 0) == 0
        gate.open.set()
        await eventually(partial(drained, settings))
        assert scorer.count("scorer_inflight_bytes") == 0
    assert len(await rows(url(settings), "select 1 from scores")) == PARTITIONS
    assert await rows(url(settings), "select count(*), min(reason) from dead_letters") == [(20, "InvalidEvent")]


async def test_fetched_images_count_as_bytes_in_flight(settings: Settings, gate: Gate, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"uri_http_hosts": (gate.host,), "memory_budget_mb": 2048})
    (tmp_path / "large").write_bytes(bytes(7 * MIB))
    by_file = {"source": "/test", "image_uri": (tmp_path / "large").as_uri()}
    behind: list[tuple[bytes, list[tuple[str, bytes]]]] = [
        (json.dumps(by_file | {"id": f"{number}"}).encode(), []) for number in range(30)
    ]
    await publish(servers(settings), settings.kafka_topic, [by_uri(gate, "slow"), *behind], partition=0)
    async with running(settings) as scorer:
        await eventually(partial(held, scorer, settings), within_s=20)
        assert scorer.count("scorer_inflight_bytes") < 128 * MIB
        gate.open.set()
        await eventually(partial(drained, settings))
        assert scorer.count("scorer_inflight_bytes") == 0
    assert await rows(url(settings), "select count(*), min(reason) from dead_letters") == [(30, "InvalidImage")]
