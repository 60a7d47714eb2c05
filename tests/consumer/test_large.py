"""Records that come in, and are too large for what goes out."""

from functools import partial

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from settings import Settings
from tests.checkpoints import sample_images
from tests.consumer.conftest import running
from tests.consumer.test_worker import cloud_event, drained, servers, url
from tests.kafka_tools import Header, read_all, rows
from tests.waiting import eventually

LIMIT = 4096


@pytest.fixture
async def narrow(settings: Settings) -> Settings:
    """Settings whose DLQ and scores topic take LIMIT bytes."""
    made = settings.model_copy(
        update={
            "kafka_dlq_topic": f"{settings.kafka_topic}-narrow.dlq",
            "kafka_scores_topic": f"{settings.kafka_topic}-narrow.scores",
        }
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=servers(settings))
    await admin.start()
    try:
        limit = {"max.message.bytes": str(LIMIT)}
        names = (made.kafka_dlq_topic, str(made.kafka_scores_topic))
        await admin.create_topics([NewTopic(name, 1, 1, topic_configs=limit) for name in names])
    finally:
        await admin.close()
    return made


@pytest.mark.parametrize(
    ("key", "headers", "kept"),
    [
        (None, [], (None, [])),
        (b"short", [("mine", b"1")], (b"short", [("mine", b"1")])),
        (b"k" * LIMIT, [("mine", b"1")], (None, [])),
        (b"short", [("mine", b"1" * LIMIT)], (None, [])),
    ],
)
async def test_a_dead_letter_too_large_for_its_topic_goes_without_what_is_too_large_and_says_so(
    narrow: Settings, key: bytes | None, headers: list[Header], kept: tuple[bytes | None, list[Header]]
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=servers(narrow)) as producer:
        await producer.send_and_wait(narrow.kafka_topic, b"no image" * LIMIT, key=key, headers=headers)
    async with running(narrow):
        await eventually(partial(drained, narrow))
    ((message, reason),) = await rows(url(narrow), "select message, reason from dead_letters")
    assert reason == "InvalidEvent"
    assert "not on the topic" in message
    (letter,) = await read_all(servers(narrow), narrow.kafka_dlq_topic)
    assert (letter.key, [header for header in letter.headers if header[0] == "mine"]) == kept
    assert not letter.value
    assert dict(letter.headers)["__dlq.errors.message"].decode() == message


async def test_a_score_whose_key_is_too_large_for_its_topic_goes_without_it(narrow: Settings) -> None:
    image = next(iter(sample_images().values()))
    async with AIOKafkaProducer(bootstrap_servers=servers(narrow)) as producer:
        await producer.send_and_wait(narrow.kafka_topic, image, key=b"k" * LIMIT, headers=cloud_event("1"))
    async with running(narrow):
        await eventually(partial(drained, narrow))
    assert await rows(url(narrow), "select event_id from scores") == [("1",)]
    (score,) = await read_all(servers(narrow), str(narrow.kafka_scores_topic))
    assert score.key is None
