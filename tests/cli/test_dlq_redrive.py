"""`dlq redrive` and `dlq resume`, end to end through Kafka: what was refused goes back once, and is decided once."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from broker.topics import inspect
from settings import Settings
from store.groups import Group
from store.store import Store, open_store
from telemetry import Metrics
from tests.checkpoints import sample_images
from tests.cli.commands import Done, run
from tests.consumer.conftest import running, settings_of_its_own
from tests.consumer.test_worker import cloud_event, drained, servers, url
from tests.kafka_tools import partitions_of, publish, read_all, rows
from tests.store.makers import at, dead_letter
from tests.system.processes import command
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("cheap_core")
TOO_SMALL = {"max_image_bytes": 1000}
"""Settings under which every photo is refused as ImageTooLarge."""
OUTCOMES = 'select partition, "offset", resolution, delivery_count from dead_letters order by seq'


@pytest.fixture
async def settings(kafka: str, migrated_url: str, checkpoint: Path) -> Settings:
    """One partition, so that a test knows the offsets."""
    return await settings_of_its_own(
        1, kafka_bootstrap_servers=kafka, database_url=migrated_url, weights=str(checkpoint)
    )


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    async with open_store(settings, Metrics(), start_timeout_s=10) as opened:
        yield opened


def variables(settings: Settings) -> dict[str, Any]:
    """What a command must be told."""
    return {
        "kafka_bootstrap_servers": servers(settings),
        "kafka_topic": settings.kafka_topic,
        "kafka_group_id": settings.kafka_group_id,
        "database_url": url(settings),
    }


async def dlq(settings: Settings, *arguments: object) -> Done:
    return await asyncio.to_thread(run, "dlq", *arguments, **variables(settings))


async def consume(settings: Settings, **changes: object) -> None:
    """A worker decides everything that is on the topic."""
    async with running(settings.model_copy(update=changes)):
        await eventually(partial(drained, settings))


async def change(settings: Settings, query: str) -> None:
    async with await psycopg.AsyncConnection.connect(url(settings)) as connection:
        await connection.execute(query.encode())


async def cut_off(settings: Settings, topic: str) -> None:
    """Retention has taken every record of the topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers(settings))
    await admin.start()
    try:
        await admin.delete_records({tp: RecordsToDelete(-1) for tp in await partitions_of(servers(settings), topic)})
    finally:
        await admin.close()


async def test_what_is_sent_back_is_scored_once_under_its_first_identity(settings: Settings) -> None:
    photos = list(sample_images().values())[:2]
    events = [(photos[0], []), (photos[1], cloud_event("named"))]
    await publish(servers(settings), settings.kafka_topic, events)
    first = await read_all(servers(settings), settings.kafka_topic)
    await consume(settings, **TOO_SMALL)
    assert await rows(url(settings), OUTCOMES) == [(0, 0, None, 1), (0, 1, None, 1)]

    rehearsed = await dlq(settings, "redrive", "--reason", "ImageTooLarge", "--dry-run")
    assert (rehearsed.code, rehearsed.err) == (0, "would be redriven 2\n")
    assert len(await read_all(servers(settings), settings.kafka_topic)) == 2
    assert await rows(url(settings), "select 1 from dead_letters where resolution is not null") == []
    assert await rows(url(settings), "select 1 from audit") == []

    done = await dlq(settings, "redrive", "--reason", "ImageTooLarge")
    assert (done.code, done.err) == (0, "redriven 2\n")
    assert await rows(url(settings), OUTCOMES) == [(0, 0, "redriven", 1), (0, 1, "redriven", 1)]
    assert (await dlq(settings, "redrive", "--all")).err == "nothing matches\n"
    again = await dlq(settings, "redrive", settings.kafka_topic, 0, 1)
    assert (again.code, again.out) == (0, f"unchanged\t{settings.kafka_topic}\t0\t1\tit is redriven already\n")

    await consume(settings)
    cluster = await inspect(settings, [])
    assert await rows(url(settings), "select source, event_id from scores order by kafka_offset") == [
        (f"kafka:{cluster.id}/{settings.kafka_topic}", f"0:0:{first[0].timestamp}"),
        ("/test", "named"),
    ]
    assert await rows(url(settings), OUTCOMES) == [(0, 0, "scored", 1), (0, 1, "scored", 1)]
    scored = await dlq(settings, "redrive", settings.kafka_topic, 0, 0, "--json")
    assert scored.code == 0
    assert json.loads(scored.out)["why"] == "it is scored already"
    assert len(await read_all(servers(settings), settings.kafka_topic)) == 4


async def test_a_redrive_that_was_killed_before_it_took_note_is_still_decided_once(settings: Settings) -> None:
    photo = next(iter(sample_images().values()))
    await publish(servers(settings), settings.kafka_topic, [(b"this is text", []), (photo, [])])
    await consume(settings, **TOO_SMALL)
    for _ in range(2):
        assert (await dlq(settings, "redrive", "--all")).err == "redriven 2\n"
        await change(settings, "update dead_letters set resolution = null, resolved_at = null")
    assert len(await read_all(servers(settings), settings.kafka_topic)) == 6
    await consume(settings)
    assert await rows(url(settings), "select count(*) from scores") == [(1,)]
    assert await rows(url(settings), OUTCOMES) == [(0, 0, None, 1), (0, 1, "scored", 1), (0, 2, None, 2)]
    cluster = await inspect(settings, [])
    origins = await rows(url(settings), "select origin from dead_letters where delivery_count = 2")
    assert [origin.rpartition("/")[0] for (origin,) in origins] == [f"{cluster.id}/{settings.kafka_topic}/0/0"]


async def test_the_record_goes_back_as_it_was_with_its_origin_and_count(settings: Settings) -> None:
    value = bytes(300_000)
    headers = [("trace", b"\xff\x00"), ("trace", b"2"), ("content-type", b"text/plain")]
    await publish(servers(settings), settings.kafka_topic, [(value, headers)])
    await consume(settings)
    origin = (await read_all(servers(settings), settings.kafka_dlq_topic))[0]
    for delivery in (1, 2):
        assert (await dlq(settings, "redrive", "--all")).code == 0
        back = (await read_all(servers(settings), settings.kafka_topic))[-1]
        assert (back.offset, back.key, back.value) == (delivery, None, value)
        assert list(back.headers) == [
            *headers,
            *([("streamscorer-origin", dict(origin.headers)["streamscorer-origin"])] if delivery == 2 else []),
            ("__dlq.delivery.count", b"%d" % delivery),
            *([("streamscorer-origin", dict(origin.headers)["streamscorer-origin"])] if delivery == 1 else []),
        ]
        await consume(settings)
    assert await rows(url(settings), OUTCOMES) == [(0, 0, "redriven", 1), (0, 1, "redriven", 2), (0, 2, None, 3)]


async def test_a_value_that_is_gone_is_told_and_the_others_go_back(settings: Settings) -> None:
    await publish(servers(settings), settings.kafka_topic, [(bytes(300_000), []), (b"small", [])])
    await consume(settings)
    await cut_off(settings, settings.kafka_dlq_topic)
    from_input = await dlq(settings, "redrive", "--all", "--dry-run")
    assert (from_input.code, from_input.err) == (0, "would be redriven 2\n")
    await cut_off(settings, settings.kafka_topic)
    done = await dlq(settings, "redrive", "--all")
    assert (done.code, done.err) == (1, "failed 1, redriven 1\n")
    assert "its 300000 bytes are gone" in done.lines[0]
    assert await rows(url(settings), OUTCOMES) == [(0, 0, None, 1), (0, 1, "redriven", 1)]
    assert [record.value for record in await read_all(servers(settings), settings.kafka_topic)] == [b"small"]


async def test_dead_letters_of_another_cluster_stay_where_they_are(settings: Settings, store: Store) -> None:
    await store.write([], [dead_letter(at(5, topic=settings.kafka_topic, cluster="another"))])
    assert (await dlq(settings, "redrive", "--all")).err == "nothing matches\n"
    done = await dlq(settings, "redrive", settings.kafka_topic, 0, 5)
    assert done.code == 1
    assert "it is from Kafka cluster another" in done.out
    assert await read_all(servers(settings), settings.kafka_topic) == []


async def test_a_stopped_group_ends_each_consumer_with_exit_3_until_it_is_resumed(
    settings: Settings, store: Store
) -> None:
    cluster = await inspect(settings, [])
    await store.stop_group(Group(cluster.id, settings.kafka_topic, settings.kafka_group_id), "far too many")
    given = variables(settings) | {"weights": settings.weights, "log_format": "console"}
    async with command("consumer", settings=given) as consumer:
        assert await consumer.end() == 3
    (said,) = [line for line in consumer.stderr if "error:" in line]
    assert said.startswith(f"streamscorer: error: group {settings.kafka_group_id} on topic {settings.kafka_topic} is")
    assert "far too many" in said
    name = f"group {settings.kafka_group_id} on topic {settings.kafka_topic}"
    first, second = await dlq(settings, "resume"), await dlq(settings, "resume")
    assert (first.code, first.out) == (0, f"{name} may go on\n")
    assert (second.code, second.out) == (0, f"{name} was not stopped\n")
    await consume(settings)
