"""An operator's pause: what is in flight is finished, nothing new is polled, through restarts and until it ends."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from broker.topics import inspect
from consumer import commits, pauses, poll
from consumer.pauses import Pauses
from consumer.waits import Waits
from settings import KafkaSettings, Settings, StoreSettings
from store.groups import Group, Pause
from store.store import open_store
from telemetry import Metrics
from tests.checkpoints import sample_images
from tests.consumer.conftest import PARTITIONS, running
from tests.consumer.test_trouble import locked_scores
from tests.consumer.test_worker import cloud_event, drained, servers, url
from tests.kafka_tools import committed_offsets, publish, rows
from tests.store.line import open_line
from tests.waiting import eventually

SCORED = "select count(*) from scores"


@pytest.fixture(autouse=True)
def _looks_and_tells_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(commits, "STATE_EVERY_S", 0.2)


async def feed(settings: Settings, *names: str) -> None:
    photo = min(sample_images().values(), key=len)
    await publish(servers(settings), settings.kafka_topic, [(photo, cloud_event(name)) for name in names])


async def at_rest(settings: Settings, pause: Pause, records: int, since: datetime) -> bool:
    """So many records are committed, and each partition has said after `since` that it waits for the operator."""
    told = await committed_offsets(servers(settings), settings.kafka_group_id)
    states = [json.loads(metadata) for _, metadata in told.values()]
    return (
        len(states) == PARTITIONS
        and sum(offset for offset, _ in told.values()) == records
        and all(
            (state["state"], state["why"]) == ("waiting", f"operator: {pause}")
            and datetime.fromisoformat(state["since"]) == pause.at
            and datetime.fromisoformat(state["at"]) > since
            for state in states
        )
    )


@pytest.mark.usefixtures("cheap_core")
async def test_a_paused_group_finishes_what_is_in_flight_and_nothing_more_until_it_goes_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = await inspect(settings, [])
    group = Group(cluster.id, settings.kafka_topic, settings.kafka_group_id)
    await feed(settings, *"abcdef")
    async with running(settings) as first:
        async with locked_scores(url(settings)):
            await eventually(lambda: first.count("scorer_inflight_records") == 6)
            pause, _ = await first.store.pause_group(group, "ann", "broken deploy")
            await eventually(lambda: first.worker.pause)
            polled = datetime.now(UTC) + 2 * timedelta(seconds=poll._POLL_S)  # one that had begun has ended by then
            await eventually(partial(at_rest, settings, pause, 0, polled))
            await feed(settings, *"ghi")
        await eventually(partial(at_rest, settings, pause, 6, datetime.now(UTC)))
        assert first.worker.pause == pause
        assert await first.worker.trouble() is None
        assert first.count("scorer_paused", reason="operator") == 1

        # A member that joins, and so a rebalance: it polls nothing either, since it has looked before it joined.
        monkeypatch.setattr(pauses, "LOOK_EVERY_S", 3600.0)
        async with running(settings) as second:
            await eventually(lambda: 0 < len(second.worker._assignment.lanes) < PARTITIONS)
            await eventually(partial(at_rest, settings, pause, 6, datetime.now(UTC)))
            assert second.count("scorer_batch_records_sum") == 0
    assert await rows(url(settings), SCORED) == [(6,)]

    # A restart, and then the end of the pause.
    monkeypatch.setattr(pauses, "LOOK_EVERY_S", 0.05)
    async with running(settings) as third:
        await eventually(lambda: len(third.worker._assignment.lanes) == PARTITIONS)
        await eventually(partial(at_rest, settings, pause, 6, datetime.now(UTC)))
        assert third.count("scorer_batch_records_sum") == 0
        await third.store.unpause_group(group, "bob")
        await eventually(partial(drained, settings))
        assert third.worker.pause is None
        assert third.count("scorer_paused", reason="operator") == 0
    assert await rows(url(settings), SCORED) == [(9,)]
    assert await rows(url(settings), "select actor, action from audit order by id") == [
        ("ann", "pause"),
        ("bob", "resume"),
    ]


async def test_what_is_wrong_in_a_pause_is_told_all_the_same() -> None:
    waits, long_ago = Waits(Metrics()), datetime(2026, 11, 21, tzinfo=UTC)
    waits.begin("operator", "paused by ann", who="pause", since=long_ago, meant=True)
    assert waits.trouble is None
    waits.begin("store", "PostgreSQL does not answer")
    assert waits.trouble is not None
    assert waits.trouble.part == "store"
    assert waits.current is not None
    assert waits.current.part == "operator"
    waits.end("store")
    assert waits.trouble is None


async def test_a_store_that_is_away_neither_ends_a_pause_nor_is_said_at_each_look(migrated_url: str) -> None:
    group, waits, metrics = Group("kafka1", "events", "scorers"), Waits(Metrics()), Metrics()
    settings = KafkaSettings(kafka_topic=group.topic, kafka_group_id=group.group_id)
    near = StoreSettings(database_url=SecretStr(migrated_url))

    def failed_looks() -> float:
        return metrics.registry.get_sample_value("scorer_store_seconds_count", {"operation": "paused"}) or 0

    async with open_line(migrated_url) as line, open_store(near, Metrics(), start_timeout_s=10) as beside:
        far = StoreSettings(database_url=SecretStr(line.url))
        async with open_store(far, metrics, start_timeout_s=10) as store:
            seen = Pauses(settings, store, group.cluster, waits)
            await seen.before_start()
            assert seen.pause is None
            pause, _ = await beside.pause_group(group, "ann", None)
            watching = asyncio.create_task(seen.watch())
            await eventually(lambda: seen.pause)
            await line.cut()
            await beside.unpause_group(group, "ann")
            with capture_logs() as logs:
                looks = failed_looks()
                await eventually(lambda: failed_looks() > looks + 1)
            assert seen.pause == pause
            assert waits.current is not None
            assert waits.current.since == pause.at
            assert logs == []
            await line.up()
            await eventually(lambda: seen.pause is None)
            assert waits.current is None
            watching.cancel()
