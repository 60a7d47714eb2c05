"""Peers are given the same model, are counted rightly, and leave no process behind."""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import torch
from aiokafka import AIOKafkaProducer
from PIL import Image

from api.multipart import read_parts
from bench.bare import Bare
from bench.cases import Skipped
from bench.children import start
from bench.ground import execute, query
from bench.past_rows import fill
from bench.peers.catalogue import SERVICES, in_form
from bench.peers.environments import Environment, install
from bench.peers.family import family
from bench.peers.ledgers import PEER_TABLE, PROBE, Table, Topic
from bench.peers.processes import Tree, tree
from bench.peers.servers.model import Classifier
from broker.topics import create_topics
from inference.model import load_model
from inference.torch_engine import TorchEngine
from settings import InferenceSettings, Settings
from tests.waiting import eventually

FLOWER = Path(__file__).resolve().parent.parent.parent / "samples" / "flower.jpg"
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
WITH_WORKER = [sys.executable, "-c", f"import subprocess; subprocess.run({SLEEP}, start_new_session=True)"]
"""As peers do that move their workers to a group of their own."""


def test_peers_compute_what_our_own_engine_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(InferenceSettings(weights="untrained"))
    torch.save(model.network.state_dict(), tmp_path / "weights.pt")
    monkeypatch.setenv("PEER_WEIGHTS", str(tmp_path / "weights.pt"))
    peer = Classifier()
    with Image.open(FLOWER) as picture:
        pixels = model.preprocessing.pixels(picture.convert("RGB")).unsqueeze(0)
    theirs = peer.decode(FLOWER.read_bytes()).unsqueeze(0)
    torch.testing.assert_close(theirs, model.preprocessing.normalised(pixels), rtol=0, atol=1e-6)
    (answer,) = peer.predict(theirs)
    ours = TorchEngine(model, InferenceSettings(threads=1, precision="fp32", engine="torch")).predict(pixels)
    assert answer["predicted_class"] == ours.argmax().item()
    assert answer["probability"] == pytest.approx(ours.max().item(), rel=1e-4)


async def test_the_naive_loop_answers_as_our_bare_loop_does(tmp_path: Path) -> None:
    torch.save(load_model(InferenceSettings(weights="untrained")).network.state_dict(), tmp_path / "weights.pt")
    weights = f"PEER_WEIGHTS={tmp_path / 'weights.pt'}"
    async with start(
        "bench.peers.servers.loop", [str(FLOWER.parent), weights, "PEER_THREADS=1"], {}, tmp_path
    ) as child:
        loop = await Bare.ready(child)
        assert await loop.rate(2) > 0
        assert loop.engine == "torch fp32"


async def test_a_form_holds_the_image_and_nothing_else() -> None:
    image = b"\xff\xd8\r\n--image"

    async def chunks() -> AsyncIterator[bytes]:
        yield in_form("file", image)

    (part,) = await read_parts(chunks(), SERVICES[0].content_type)
    assert (part.name, bytes(part.data)) == ("file", image)


async def test_what_cannot_be_installed_is_skipped_with_pips_reason(tmp_path: Path) -> None:
    lacking = Environment("lacking", (str(tmp_path / "no-such-package"),), "lacking")
    with pytest.raises(Skipped, match=r"lacking cannot be installed: .*no-such-package"):
        await install(lacking, tmp_path)


async def test_a_killed_peer_leaves_none_of_its_workers_behind(tmp_path: Path) -> None:
    async with tree("peer", WITH_WORKER, {}, tmp_path) as peer:
        worker = await eventually(lambda: worker_of(peer))
        peer.pause()
        await eventually(lambda: state(worker) == "T", "the worker holds still")
        assert peer.memory_mb() > 1
        await peer.kill()
        assert state(worker) in ("", "Z")


async def test_no_worker_of_a_peer_outlives_whoever_started_it(tmp_path: Path) -> None:
    starter = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.peers.warden", *WITH_WORKER), stdin=asyncio.subprocess.PIPE
    )
    worker = await eventually(lambda: next(iter(family(starter.pid)[1:]), None))
    os.kill(worker, signal.SIGSTOP)
    assert starter.stdin is not None
    starter.stdin.close()  # what the kernel does for a starter that is killed
    await starter.wait()
    assert state(worker) in ("", "Z")


async def test_a_peer_that_ends_by_itself_is_skipped_with_its_last_words(tmp_path: Path) -> None:
    async with tree("peer", (sys.executable, "-c", "raise SystemExit('no model')"), {}, tmp_path) as peer:
        with pytest.raises(Skipped, match="peer ended with exit code 1: no model"):
            await peer.serves("http://127.0.0.1:9/")


async def test_lost_and_doubled_rows_are_seen_in_a_table(database_url: str) -> None:
    await execute(database_url, PEER_TABLE)
    table = Table(database_url, "peer_scores")
    for offset in (0, 1, 1, 3):
        await execute(
            database_url,
            "INSERT INTO peer_scores (kafka_topic, kafka_partition, kafka_offset, class_id, probability) "
            "VALUES ('t', 0, %s, 1, 0.5)",
            offset,
        )
    assert await table.counts() == (4, 3)
    assert [rows for _, rows in await table.times()] == [1, 1, 1, 1]


async def test_lost_and_doubled_answers_are_seen_in_a_topic(kafka: str) -> None:
    settings = Settings(kafka_bootstrap_servers=kafka, kafka_topic=f"t-{uuid.uuid4().hex}", _env_file=None)
    await create_topics(settings, max_image_bytes=1000, partitions=2)
    topic = Topic(settings, settings.kafka_topic)
    assert not await topic.listens()
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for number, key in enumerate((f"{PROBE}0", "0", "1", "1", "3")):
            await producer.send_and_wait(settings.kafka_topic, b"{}", key=key.encode(), partition=number % 2)
    assert await topic.listens()
    assert await topic.counts() == (4, 3)


async def test_a_store_is_filled_with_exactly_so_many_rows(migrated_url: str) -> None:
    await fill(migrated_url, 7)
    assert await query(migrated_url, "SELECT count(*), count(DISTINCT event_id) FROM scores") == [(7, 7)]


def worker_of(peer: Tree) -> int | None:
    """The child of the peer's own process."""
    return next(iter(family(peer.pid)[1:]), None)


def state(pid: int) -> str:
    """R, S, T (stopped), Z, or nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""
