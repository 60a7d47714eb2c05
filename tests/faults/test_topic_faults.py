"""What is done to a topic and to a group's offsets: what is there is scored, once, and what is lost is said."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, cast

import pytest
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from broker.topics import create_topics
from errors import CommandFailed
from settings import Settings
from tests.consumer.conftest import PARTITIONS, running
from tests.consumer.test_worker import cloud_event, drained, servers, url
from tests.inference.pictures import encode, photo
from tests.kafka_tools import committed_offsets, partitions_of, publish, publish_aborted, rows
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("engines")
IMAGE = encode(photo(), "JPEG")


async def feed(settings: Settings, name: str, count: int, partition: int = 0) -> None:
    records = [(IMAGE, cloud_event(f"{name}-{number}")) for number in range(count)]
    await publish(servers(settings), settings.kafka_topic, records, partition=partition)


async def scored(settings: Settings) -> set[str]:
    return {row[0] for row in await rows(url(settings), "select event_id from scores")}


async def set_offsets(settings: Settings, offsets: Mapping[int, int]) -> None:
    """What an operator does with the group stopped."""
    wanted = {TopicPartition(settings.kafka_topic, partition): offset for partition, offset in offsets.items()}
    async with AIOKafkaConsumer(
        bootstrap_servers=servers(settings), group_id=settings.kafka_group_id, enable_auto_commit=False
    ) as consumer:
        consumer.assign(list(wanted))
        await consumer.commit(wanted)


async def trim(settings: Settings, before: int, partition: int = 0) -> None:
    """Delete the records below `before`, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers(settings))
    await admin.start()
    try:
        tp = TopicPartition(settings.kafka_topic, partition)
        await admin.delete_records({tp: RecordsToDelete(before_offset=before)})
    finally:
        await admin.close()


async def test_a_topic_trimmed_below_the_committed_offset_is_said_loudly_and_what_is_left_is_scored(
    settings: Settings,
) -> None:
    await feed(settings, "first", 3)
    async with running(settings):
        await eventually(partial(drained, settings))
    await feed(settings, "second", 10)
    await trim(settings, before=8)
    with structlog.testing.capture_logs() as said:
        async with running(settings) as scorer:
            await eventually(partial(drained, settings))
            assert scorer.count("scorer_skipped_records_total", reason="trimmed") == 5
    (line,) = [line for line in said if line["event"] == "records were deleted before they were scored"]
    assert (line["log_level"], line["lost"]) == ("error", 5)
    assert await scored(settings) == {*(f"first-{n}" for n in range(3)), *(f"second-{n}" for n in range(5, 10))}


async def make_again(settings: Settings) -> None:
    """Delete the input topic and make it again, empty."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers(settings))
    await admin.start()
    try:
        await admin.delete_topics([settings.kafka_topic])
    finally:
        await admin.close()

    async def made() -> bool:
        with suppress(CommandFailed):  # it is still being deleted
            done = await create_topics(settings, max_image_bytes=settings.max_image_bytes, partitions=PARTITIONS)
            return "created" in done[0]
        return False

    await eventually(made)
    await eventually(partial(has_all_partitions, settings))


async def has_all_partitions(settings: Settings) -> bool:
    return len(await partitions_of(servers(settings), settings.kafka_topic)) == PARTITIONS


@pytest.mark.parametrize("records", [2, 9])
async def test_records_without_ids_in_a_topic_that_was_made_again_are_all_scored(
    settings: Settings, records: int
) -> None:
    for partition in range(PARTITIONS):
        await publish(servers(settings), settings.kafka_topic, [(IMAGE, [])] * 5, partition=partition)
    async with running(settings):
        await eventually(partial(drained, settings))
    await make_again(settings)
    for partition in range(PARTITIONS):
        await publish(servers(settings), settings.kafka_topic, [(IMAGE, [])] * records, partition=partition)
    async with running(settings) as scorer:
        await eventually(partial(drained, settings))
        assert scorer.count("scorer_records_total", outcome="scored") == PARTITIONS * records
        assert scorer.count("scorer_records_total", outcome="redelivered") == 0
    found = await rows(url(settings), "select count(*), count(distinct event_id) from scores")
    assert found == [(PARTITIONS * (5 + records),) * 2]


async def test_offsets_that_an_operator_sets_are_where_the_group_begins_and_no_row_is_doubled(
    settings: Settings,
) -> None:
    await feed(settings, "a", 10)
    async with running(settings):
        await eventually(partial(drained, settings))
    await feed(settings, "b", 10)
    await set_offsets(settings, {0: 15})
    async with running(settings):
        await eventually(partial(drained, settings))
    expected = {*(f"a-{n}" for n in range(10)), *(f"b-{n}" for n in range(5, 10))}
    assert await scored(settings) == expected
    await set_offsets(settings, {0: 5})
    async with running(settings) as scorer:
        await eventually(partial(drained, settings))
        assert scorer.count("scorer_records_total", outcome="redelivered") == 10
    assert await scored(settings) == {*(f"a-{n}" for n in range(10)), *(f"b-{n}" for n in range(10))}
    assert await rows(url(settings), "select count(*) from scores") == [(20,)]


async def test_an_offset_beyond_the_end_is_said_and_begins_anew_without_doubling_a_row(settings: Settings) -> None:
    await feed(settings, "a", 10)
    async with running(settings):
        await eventually(partial(drained, settings))
    await set_offsets(settings, {0: 1000})
    with structlog.testing.capture_logs() as said:
        async with running(settings) as scorer:
            await eventually(partial(drained, settings))
            assert scorer.count("scorer_records_total", outcome="redelivered") == 10
    assert [line["log_level"] for line in said if "its topic was made again?" in line["event"]] == ["error"]
    assert await rows(url(settings), "select count(*) from scores") == [(10,)]


async def test_a_new_group_that_begins_at_the_latest_record_scores_what_comes_from_then_on(settings: Settings) -> None:
    await feed(settings, "old", 5)
    latest = settings.model_copy(update={"kafka_auto_offset_reset": "latest"})
    async with running(latest):
        await eventually(partial(drained, settings))
        await feed(settings, "new", 5)
        await eventually(partial(drained, settings))
    await feed(settings, "while away", 5)
    async with running(latest):
        await eventually(partial(drained, settings))
    assert await scored(settings) == {f"{name}-{n}" for name in ("new", "while away") for n in range(5)}


async def test_aborted_transactions_leave_no_score_and_no_lag_wherever_they_stand(settings: Settings) -> None:
    async def send(producer: AIOKafkaProducer, name: str, partition: int) -> None:
        await producer.send_and_wait(settings.kafka_topic, IMAGE, headers=cloud_event(name), partition=partition)

    async with running(settings) as scorer:
        await eventually(partial(drained, settings))
        async with (
            transactional(settings, "a") as undecided,
            transactional(settings, "b") as second,
        ):
            await undecided.begin_transaction()
            await send(undecided, "undecided", 0)
            await send(undecided, "undecided", 1)
            async with second.transaction():
                await send(second, "kept", 0)
                await send(second, "kept too", 2)
            await feed(settings, "plain", 2)
            await eventually(partial(has_scored, settings, {"kept too"}))
            await undecided.abort_transaction()
            await eventually(partial(drained, settings))
            for _ in range(3):
                await second.begin_transaction()
                await send(second, "aborted", 1)
                await second.abort_transaction()
            began = time.monotonic()
            await eventually(partial(drained, settings))
            assert time.monotonic() - began < 30
        assert scorer.count("scorer_inference_images_total", origin="kafka", engine="fake") == 4
    assert await scored(settings) == {"kept", "kept too", "plain-0", "plain-1"}
    ends = {tp.partition: offset for tp, (offset, _) in (await committed(settings)).items()}
    assert ends == {0: 1 + 1 + 1 + 2 + 1, 1: 1 + 1 + 3 * 2, 2: 2}


def transactional(settings: Settings, name: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=servers(settings), transactional_id=f"{settings.kafka_topic}-{name}")


async def committed(settings: Settings) -> dict[TopicPartition, tuple[int, str]]:
    return await committed_offsets(servers(settings), settings.kafka_group_id)


async def has_scored(settings: Settings, events: set[str]) -> bool:
    """These and no others."""
    return await scored(settings) == events


async def test_records_of_every_codec_are_scored(settings: Settings) -> None:
    codecs = ("gzip", "snappy", "lz4", "zstd")
    for partition, codec in enumerate(codecs):
        async with AIOKafkaProducer(bootstrap_servers=servers(settings), compression_type=codec) as producer:
            sent = [
                await producer.send(
                    settings.kafka_topic, IMAGE, headers=cloud_event(f"{codec}-{n}"), partition=partition % PARTITIONS
                )
                for n in range(3)
            ]
            await asyncio.gather(*sent)
    async with running(settings):
        await eventually(partial(drained, settings))
    assert await scored(settings) == {f"{codec}-{n}" for codec in codecs for n in range(3)}


async def test_no_commit_passes_the_record_behind_a_gap_while_the_gap_is_looked_at(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish_aborted(servers(settings), settings.kafka_topic, IMAGE)
    await feed(settings, "behind", 1)
    ask, began = cast("Any", AIOKafkaConsumer).beginning_offsets, asyncio.Event()
    seen: list[int] = []
    async with running(settings) as scorer:

        async def commit_first(consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> Any:
            if scorer.worker._assignment.lanes:
                await scorer.worker._commits.commit(everything=True)
                seen.append((await committed(settings))[TopicPartition(settings.kafka_topic, 0)][0])
                began.set()
            return await ask(consumer, partitions)

        monkeypatch.setattr(AIOKafkaConsumer, "beginning_offsets", commit_first)
        await asyncio.wait_for(began.wait(), 30)
        await eventually(partial(drained, settings))
    assert [offset for offset in seen if offset > 2] == []
    assert await scored(settings) == {"behind-0"}
