"""The log changes under a running consumer: trimmed, or its topic deleted and made again."""

from functools import partial
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from settings import Settings
from tests.checkpoints import sample_images
from tests.consumer.conftest import PARTITIONS, running
from tests.consumer.test_trouble import locked_scores, waiting_for_store
from tests.consumer.test_worker import cloud_event, drained, servers, url
from tests.kafka_tools import publish, rows
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("cheap_core")
SMALL = sorted(sample_images().values(), key=len)
LARGE = SMALL[-1] + bytes(300_000)  # what stands behind an image's end does not matter


async def test_records_trimmed_before_they_are_polled_are_counted_loudly(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [(LARGE, cloud_event(f"{n}")) for n in range(160)]
    places = await publish(servers(settings), settings.kafka_topic, records, partition=0)
    keep = places[150][1]
    admin = AIOKafkaAdminClient(bootstrap_servers=servers(settings))
    await admin.start()
    try:
        async with running(settings.model_copy(update={"statement_timeout_s": 0.5})) as scorer:
            async with locked_scores(url(settings)):
                await eventually(partial(waiting_for_store, scorer))
                await admin.delete_records({TopicPartition(settings.kafka_topic, 0): RecordsToDelete(keep)})
            await eventually(partial(drained, settings))
            lost = scorer.count("scorer_skipped_records_total", reason="trimmed")
    finally:
        await admin.close()
    scored = {int(name) for (name,) in await rows(url(settings), "select event_id from scores")}
    assert scored >= set(range(150, 160))
    assert lost == 160 - len(scored) > 0
    assert "records were deleted before they were scored" in capsys.readouterr().out


async def made_again(settings: Settings) -> None:
    """The topic is deleted and made again at once."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers(settings))
    await admin.start()
    try:
        await admin.delete_topics([settings.kafka_topic])

        async def made() -> bool:
            answer: Any = await admin.create_topics([NewTopic(settings.kafka_topic, PARTITIONS, 1)])
            return not any(code for _, code, *_ in answer.topic_errors)

        await eventually(made)
    finally:
        await admin.close()


async def test_a_topic_made_again_under_a_running_consumer_is_scored_from_its_beginning(settings: Settings) -> None:
    for partition in range(PARTITIONS):
        await publish(servers(settings), settings.kafka_topic, [(SMALL[0], [])] * 5, partition=partition)

    async def scored(count: int) -> bool:
        return len(await rows(url(settings), "select 1 from scores")) == count

    async with running(settings):
        await eventually(partial(scored, 5 * PARTITIONS))
        await made_again(settings)
        for partition in range(PARTITIONS):
            await publish(servers(settings), settings.kafka_topic, [(SMALL[1], [])] * 3, partition=partition)
        await eventually(partial(scored, 8 * PARTITIONS), within_s=90)
        await eventually(partial(drained, settings))
