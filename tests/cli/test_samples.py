"""The sample photos wait for the API, and what is wrong with it does not end the others."""

import asyncio
import uuid
from functools import partial

from broker.publisher import open_publisher
from broker.topics import create_topics
from cli.samples import sample_photos, score_samples
from settings import Settings
from tests.kafka_tools import read_all
from tests.waiting import eventually


async def published(servers: str, topic: str, count: int) -> bool:
    return len(await read_all(servers, topic)) == count


async def test_an_api_that_is_gone_is_asked_again_and_nothing_is_left_behind(kafka: str) -> None:
    topic = f"s-{uuid.uuid4().hex[:12]}"
    settings = Settings(kafka_bootstrap_servers=kafka, kafka_topic=topic, _env_file=None)
    await create_topics(settings, max_image_bytes=settings.max_image_bytes, partitions=1)
    async with open_publisher(settings) as publisher:
        before = asyncio.all_tasks()
        scoring = asyncio.create_task(score_samples(settings, publisher, "http://127.0.0.1:1"))
        await eventually(partial(published, kafka, topic, len(list(sample_photos()))))
        assert not scoring.done()
        scoring.cancel()
        await asyncio.wait([scoring], timeout=5)
        assert scoring.cancelled()
        assert not {task for task in asyncio.all_tasks() - before if "_score" in repr(task)}
