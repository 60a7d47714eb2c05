"""`offsets reset` and `offsets skip`: where the group goes on, only while it is stopped, and never without a trace."""

import asyncio
import getpass
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from broker.groups import Groups, open_groups
from broker.offsets import open_offsets
from broker.samples import Member
from cli.moving import Target, reset, skip
from consumer.crashes import Crashes
from errors import CommandFailed, UsageError
from settings import Settings
from store.dead_letters import Place
from tests.checkpoints import sample_images
from tests.cli.commands import run
from tests.consumer.conftest import running, settings_of_its_own
from tests.consumer.test_worker import cloud_event, drained, servers, url
from tests.kafka_tools import committed_offsets, rows
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("cheap_core")
PARTITIONS, RECORDS = 2, 4
BEGIN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
AUDIT = "select actor, action, detail from audit order by id"


@pytest.fixture
async def settings(kafka: str, migrated_url: str, checkpoint: Path) -> Settings:
    """Two partitions."""
    return await settings_of_its_own(
        PARTITIONS, kafka_bootstrap_servers=kafka, database_url=migrated_url, weights=str(checkpoint)
    )


async def feed(settings: Settings) -> None:
    """Four records in each partition, one a minute from BEGIN on."""
    photo = min(sample_images().values(), key=len)
    async with AIOKafkaProducer(bootstrap_servers=servers(settings)) as producer:
        for number in range(RECORDS):
            sent_ms = int((BEGIN + timedelta(minutes=number)).timestamp() * 1000)
            for partition in range(PARTITIONS):
                headers = cloud_event(f"{partition}-{number}")
                await producer.send(
                    settings.kafka_topic, photo, headers=headers, partition=partition, timestamp_ms=sent_ms
                )


async def begin(settings: Settings) -> None:
    """The group exists and stands at the beginning."""
    async with open_offsets(settings, settings.kafka_topic) as offsets:
        assert await offsets.move(dict.fromkeys(range(PARTITIONS), 0), "")


async def consume(settings: Settings) -> float:
    """A worker decides everything from where the group stands; how many records were redelivered."""
    async with running(settings) as worker:
        await eventually(partial(drained, settings))
        return worker.count("scorer_records_total", outcome="redelivered")


async def standing(settings: Settings) -> list[int]:
    """The committed offset of each partition."""
    found = await committed_offsets(servers(settings), settings.kafka_group_id)
    return [found[TopicPartition(settings.kafka_topic, partition)][0] for partition in range(PARTITIONS)]


async def audit(settings: Settings) -> list[tuple[str, str, dict[str, Any]]]:
    """Who did what, and how: without what names the group."""
    found = await rows(url(settings), AUDIT)
    named = {"topic": settings.kafka_topic, "group_id": settings.kafka_group_id}
    assert all(detail.pop("cluster") and {name: detail.pop(name) for name in named} == named for *_, detail in found)
    return [(actor, action, detail) for actor, action, detail in found]


async def test_a_group_that_is_set_back_begins_there_and_no_row_is_doubled(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    await feed(settings)
    await consume(settings)
    capsys.readouterr()
    for dry_run, will in ((True, "would"), (False, "will")):
        await reset(settings, Target(None, 1), (), dry_run=dry_run)
        shown = capsys.readouterr()
        assert shown.out == "0\t4\t1\t3\t0\t\n1\t4\t1\t3\t0\t\n"
        assert f"6 records {will} be delivered again: one that is decided already costs a look-up" in shown.err
        assert await standing(settings) == ([4, 4] if dry_run else [1, 1])
    for _, metadata in (await committed_offsets(servers(settings), settings.kafka_group_id)).values():
        told = json.loads(metadata)
        assert (told["state"], told["open"]) == ("moved", False)
        assert not Crashes.read(1, metadata, 4).cautious
        assert told["why"] == f"operator: offsets reset by {getpass.getuser()}"
        assert datetime.fromisoformat(told["at"]) < datetime.now(UTC)
    steps = [{"partition": partition, "from": 4, "to": 1} for partition in range(PARTITIONS)]
    assert await audit(settings) == [(getpass.getuser(), "offsets reset", {"to_offset": 1, "partitions": steps})]
    assert await consume(settings) == 6
    assert await rows(url(settings), "select count(*) from scores") == [(8,)]


async def test_a_time_is_the_first_record_at_or_after_it_and_an_offset_stays_within_the_log(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    await begin(settings)
    await feed(settings)
    third = BEGIN + timedelta(minutes=2)
    for target, partitions, shown, behind in [
        (Target(third, None), [], "0\t0\t2\t0\t2\t\n1\t0\t2\t0\t2\t\n", [2, 2]),
        (Target(third + timedelta(microseconds=1), None), [1], "1\t2\t3\t0\t1\t\n", [2, 3]),
        (Target(third + timedelta(days=1), None), [1, 1], "1\t3\t4\t0\t1\tno record so late: its end\n", [2, 4]),
        (Target(BEGIN - timedelta(days=30_000), None), [0], "0\t2\t0\t2\t0\t\n", [0, 4]),
        (Target(None, 9), [0], "0\t0\t4\t0\t4\tthe log ends at 4\n", [4, 4]),
    ]:
        await reset(settings, target, partitions, dry_run=False)
        assert capsys.readouterr().out == shown
        assert await standing(settings) == behind
    kept = await audit(settings)
    await reset(settings, Target(None, 4), [], dry_run=False)
    assert capsys.readouterr().err == "nothing to move\n"
    assert await audit(settings) == kept
    assert kept[0][2]["to_time"] == third.isoformat()
    with pytest.raises(UsageError, match=r"partition 2: .* has partitions 0 to 1"):
        await reset(settings, Target(None, 4), [1, 2], dry_run=False)


async def test_the_record_that_is_due_is_left_out_and_no_other(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    await begin(settings)
    await feed(settings)
    topic = settings.kafka_topic
    with pytest.raises(CommandFailed, match=f"{topic} 0 1: group {topic} stands at 0 there"):
        await skip(settings, Place(topic, 0, 1), None, dry_run=False)
    await skip(settings, Place(topic, 0, 0), "it hangs", dry_run=True)
    assert (await standing(settings), await audit(settings)) == ([0, 0], [])
    await skip(settings, Place(topic, 0, 0), "it hangs", dry_run=False)
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == f"{topic} 0 0 (of {BEGIN.isoformat()}) will not be delivered to group {topic}"
    detail = {"partition": 0, "offset": 0, "record_time": BEGIN.isoformat(), "why": "it hangs"}
    assert await audit(settings) == [(getpass.getuser(), "offsets skip", detail)]
    await consume(settings)
    names = {name for (name,) in await rows(url(settings), "select event_id from scores")}
    assert names == {f"{partition}-{number}" for partition in range(2) for number in range(4)} - {"0-0"}
    assert await rows(url(settings), "select 1 from dead_letters") == []
    with pytest.raises(CommandFailed, match=f"{topic} 0 4: there is no record"):
        await skip(settings, Place(topic, 0, 4), None, dry_run=False)


async def test_a_group_with_members_is_refused_also_by_kafka_and_that_is_kept(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await feed(settings)
    given: dict[str, Any] = {"database_url": url(settings), "kafka_bootstrap_servers": servers(settings)}
    given |= {"kafka_topic": settings.kafka_topic, "kafka_group_id": settings.kafka_group_id}
    async with running(settings):
        await eventually(partial(drained, settings))
        done = await asyncio.to_thread(run, "offsets", "reset", "--to-offset", 0, **given)
        assert (done.code, done.out, len(done.err.splitlines())) == (1, "", 1)
        assert "has 1 member (on 127.0.0.1)" in done.err
        assert "`docker compose stop consumer` or SIGTERM" in done.err
        capsys.readouterr()
        await reset(settings, Target(None, 0), (), dry_run=True)
        shown = capsys.readouterr()
        assert shown.out == "0\t4\t0\t4\t0\t\n1\t4\t0\t4\t0\t\n"
        assert "has 1 member" in shown.err
        assert await audit(settings) == []

        members, early = Groups.members, [(), ()]

        async def looked_too_early(self: Groups, group_id: str) -> tuple[Member, ...] | None:
            return early.pop() if early else await members(self, group_id)

        monkeypatch.setattr(Groups, "members", looked_too_early)
        with pytest.raises(CommandFailed, match="has 1 member"):
            await reset(settings, Target(None, 0), (), dry_run=False)
        assert early == []
        asked, failed = await audit(settings)
        assert (asked[1], failed[1]) == ("offsets reset", "offsets reset failed")
        assert "has 1 member" in failed[2].pop("failed")
        assert asked[2] == failed[2]
        assert await standing(settings) == [RECORDS, RECORDS]
    assert await standing(settings) == [RECORDS, RECORDS]


async def test_a_group_or_a_topic_that_does_not_exist_is_named(settings: Settings) -> None:
    async with open_groups(settings) as groups:
        assert await groups.members(settings.kafka_group_id) is None
    with pytest.raises(UsageError, match=f"group {settings.kafka_group_id} does not exist .*SCORER_KAFKA_GROUP_ID"):
        await reset(settings, Target(None, 0), (), dry_run=True)
    nowhere = settings.model_copy(update={"kafka_topic": "nowhere"})
    with pytest.raises(UsageError, match="topic nowhere does not exist"):
        await reset(nowhere, Target(None, 0), (), dry_run=True)
    with pytest.raises(UsageError, match="topic nowhere does not exist"):
        await skip(settings, Place("nowhere", 0, 0), None, dry_run=True)
    assert await rows(url(settings), AUDIT) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["reset", "--to-time", "2026-01-31", "--to-offset", 3], "one of the two"),
        (["reset", "--to-time", "noon"], "--to-time=noon: not an ISO 8601 time"),
        (["skip", "events", 0], "give TOPIC PARTITION OFFSET"),
    ],
)
def test_an_unclear_place_is_wrong_usage(arguments: list[object], said: str) -> None:
    done = run("offsets", *arguments)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert said in done.err
