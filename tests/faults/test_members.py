import asyncio
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from inference.fake_engine import FakeEngine
from tests.faults.members import Member, group_of_its_own, plain_picture, start_member
from tests.faults.traps import TrappedEngine, set_trap
from tests.kafka_tools import Header, committed_offsets, lag, publish, read_all, rows
from tests.system.pictures import pictures
from tests.system.processes import ROOT
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(180)
TRUNCATED = 1
BATCH = torch.arange(4 * 3 * 224 * 224, dtype=torch.int64).remainder(251).to(torch.uint8).view(4, 3, 224, 224)


@pytest.fixture
async def member_settings(kafka: str, migrated_url: str) -> dict[str, Any]:
    """A group, topics with one partition, and a schema of the test's own."""
    return await group_of_its_own(kafka, migrated_url)


async def publish_pictures(settings: dict[str, Any], count: int = 8) -> None:
    """So many pictures, the first TRUNCATED of which are cut short."""
    images = list(pictures(count))
    records: list[tuple[bytes | None, list[Header]]] = [
        (image[:200] if number < TRUNCATED else image, []) for number, image in enumerate(images)
    ]
    await publish(settings["kafka_bootstrap_servers"], settings["kafka_topic"], records)


async def scored(settings: dict[str, Any]) -> int:
    return int((await rows(settings["database_url"], "SELECT count(*) FROM scores"))[0][0])


async def drained(settings: dict[str, Any]) -> bool:
    return await lag(settings["kafka_bootstrap_servers"], settings["kafka_group_id"], settings["kafka_topic"]) == 0


def state(member: Member) -> str:
    """As the kernel sees it: T is stopped."""
    return Path(f"/proc/{member.process.pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.soak
async def test_a_member_scores_with_the_fake_engine_freezes_thaws_and_drains(member_settings: dict[str, Any]) -> None:
    async with await start_member(member_settings | {"health_port": 0}) as member:
        await member.joined()
        assert member.partitions == (0,)
        await publish_pictures(member_settings)
        await eventually(lambda: drained(member_settings))
        await eventually(lambda: member.decided == 8)
        assert await rows(member_settings["database_url"], "SELECT DISTINCT model_version, engine FROM scores") == [
            ("fake-000000000001", "fake")
        ]
        assert await scored(member_settings) == 8 - TRUNCATED
        async with httpx.AsyncClient(base_url=member.url or "", trust_env=False) as client:
            assert (await client.get("/readyz")).status_code == 200
        member.freeze()
        await eventually(lambda: state(member) == "T")
        member.thaw()
        await eventually(lambda: state(member) != "T")
        member.stop()
        assert await member.end() == 0
    assert not member.running


@pytest.mark.soak
@pytest.mark.parametrize(
    ("trap", "letters", "rows_written", "committed"),
    [
        ("kill:before-score", 0, 0, 0),
        ("kill:before-publish", 0, 0, 0),
        ("kill:after-publish", 1, 0, 0),
        ("kill:before-write:1", 1, 0, 0),
        ("kill:after-write", 1, 7, 0),
        ("kill:after-commit", 1, 7, 8),
    ],
)
async def test_a_trap_kills_the_member_between_these_two_hops(
    member_settings: dict[str, Any], trap: str, letters: int, rows_written: int, committed: int
) -> None:
    servers, topic = member_settings["kafka_bootstrap_servers"], member_settings["kafka_topic"]
    await publish_pictures(member_settings)
    async with await start_member(member_settings, trap=trap) as member:
        assert await member.end() == -signal.SIGKILL
        assert member.lines[-1] == f"trap: {trap}"
    assert len(await read_all(servers, f"{topic}.dlq")) == letters
    assert await scored(member_settings) == rows_written
    offsets = await committed_offsets(servers, member_settings["kafka_group_id"])
    assert [at for at, _ in offsets.values()] in ([committed], [] if committed == 0 else [committed])


@pytest.mark.soak
async def test_a_trap_waits_for_its_batch(member_settings: dict[str, Any]) -> None:
    async with await start_member(member_settings, trap="kill:after-commit:2") as member:
        await member.joined()
        await publish_pictures(member_settings, 4)
        await eventually(lambda: drained(member_settings))
        assert member.running
        await publish_pictures(member_settings, 4)
        assert await member.end() == -signal.SIGKILL


@pytest.mark.soak
async def test_a_picture_of_the_marker_colour_kills_the_engine_that_sees_it(member_settings: dict[str, Any]) -> None:
    async with await start_member(member_settings, trap="engine:kill-on:c81e96") as member:
        await member.joined()
        await publish_pictures(member_settings)
        await eventually(lambda: drained(member_settings))
        poison = plain_picture("c81e96")
        await publish(member_settings["kafka_bootstrap_servers"], member_settings["kafka_topic"], [(poison, [])])
        assert await member.end() == -signal.SIGKILL


@pytest.mark.soak
async def test_a_member_runs_from_the_tree_it_is_told(member_settings: dict[str, Any], tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns(".*", "build", "__pycache__", "samples")
    copy = Path(shutil.copytree(ROOT, tmp_path / "copy", ignore=ignore))
    source = copy / "tests" / "fake_core.py"
    source.write_text(source.read_text().replace("fake-000000000001", "mutant"))
    await publish_pictures(member_settings)
    async with await start_member(member_settings, root=copy):
        await eventually(lambda: drained(member_settings))
    assert await rows(member_settings["database_url"], "SELECT DISTINCT model_version FROM scores") == [("mutant",)]


@pytest.mark.soak
async def test_a_member_that_cannot_start_tells_why_it_did_not_join(member_settings: dict[str, Any]) -> None:
    async with await start_member(member_settings | {"kafka_topic": "no-such-topic"}) as member:
        with pytest.raises(AssertionError, match="no-such-topic"):
            await member.joined()
        assert await member.end() == 2


def test_an_engine_raises_once_and_then_works() -> None:
    engine, plain = TrappedEngine(FakeEngine(), "engine:raise-once:2"), FakeEngine()
    probe = torch.full((1, 3, 224, 224), 127, dtype=torch.uint8)
    for batch in (probe, BATCH, probe):
        assert engine.predict(batch).equal(plain.predict(batch))
    with pytest.raises(RuntimeError):
        engine.predict(BATCH)
    assert engine.predict(BATCH).equal(plain.predict(BATCH))


def test_an_engine_answers_nan_once() -> None:
    engine = TrappedEngine(FakeEngine(), "engine:nan-once")
    assert engine.predict(BATCH).isnan().all()
    assert engine.predict(BATCH).isfinite().all()


def test_an_engine_runs_out_of_memory_above_its_size() -> None:
    engine = TrappedEngine(FakeEngine(), "engine:oom-over:3")
    for _ in range(2):
        with pytest.raises(torch.OutOfMemoryError):
            engine.predict(BATCH)
        assert engine.predict(BATCH[:3]).shape == (3, 1000)


async def test_an_engine_hangs() -> None:
    engine = TrappedEngine(FakeEngine(), "engine:hang")
    hung = threading.Thread(target=engine.predict, args=(BATCH,), daemon=True)
    hung.start()
    await asyncio.to_thread(hung.join, 0.5)
    assert hung.is_alive()


def test_an_engine_is_slow_as_long_as_a_file_says_so(tmp_path: Path) -> None:
    pace = tmp_path / "pace"
    engine, plain = TrappedEngine(FakeEngine(), f"engine:slow:{pace}"), FakeEngine().predict(BATCH)
    pace.write_text("0.05")
    began = time.monotonic()
    assert engine.predict(BATCH).equal(plain)
    assert time.monotonic() - began >= 4 * 0.05
    pace.unlink()
    assert engine.predict(BATCH).equal(plain)


def test_a_trap_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="kill:after-lunch"):
        set_trap("kill:after-lunch")
