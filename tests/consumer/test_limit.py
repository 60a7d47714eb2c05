"""A flood of dead letters stops the group, loses nothing, and goes on when an operator says so."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import psycopg
import pytest
from pydantic import SecretStr

from broker.topics import inspect
from consumer.limit import DeadLetterLimit
from consumer.waits import Waits
from errors import InvalidEvent, InvalidImage, SafetyLimit
from settings import ConsumerSettings, Settings, StoreSettings
from store.groups import Group
from store.store import Store, open_store
from telemetry import Metrics
from tests.checkpoints import sample_images
from tests.consumer.conftest import running
from tests.consumer.test_worker import cloud_event, drained, servers, url
from tests.kafka_tools import Header, lag, publish, read_all, rows
from tests.store.makers import at, dead_letter, score
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("cheap_core")
WINDOW, LIMIT = 40, 20
GROUP = Group("kafka1", "events", "scorers")
BAD = InvalidImage("not an image")


async def stopped(settings: Settings) -> str:
    """Run a worker that must be ended by the limit; what it says."""
    with pytest.raises(BaseExceptionGroup) as caught:
        async with running(settings):
            await asyncio.sleep(60)
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, SafetyLimit), error
    return str(error)


async def counts(settings: Settings) -> tuple[int, int, int]:
    """Dead letters in the table, dead letters on the topic, lag."""
    ((letters,),) = await rows(url(settings), "select count(*) from dead_letters")
    behind = await lag(servers(settings), settings.kafka_group_id, settings.kafka_topic)
    return letters, len(await read_all(servers(settings), settings.kafka_dlq_topic)), behind or -1


async def test_a_flood_stops_the_group_through_restarts_until_it_is_resumed(settings: Settings) -> None:
    settings = settings.model_copy(update={"dead_letter_limit_window": WINDOW})
    picture = next(iter(sample_images().values()))
    flood: list[tuple[bytes | None, list[Header]]] = [(b"this is text %d" % number, []) for number in range(LIMIT + 10)]
    await publish(servers(settings), settings.kafka_topic, [*flood, (picture, cloud_event("good"))], partition=0)

    said = await stopped(settings)
    assert f"group {settings.kafka_group_id} on topic {settings.kafka_topic} is stopped since 20" in said
    assert "20 of the last 20 records became dead letters within ten minutes, most of them InvalidEvent" in said
    assert "`streamscorer dlq list` shows them, `streamscorer dlq resume` lets it go on" in said
    assert "\n" not in said
    letters, on_topic, behind = await counts(settings)
    assert (letters, on_topic) == (LIMIT, LIMIT)
    assert behind >= 11

    assert await stopped(settings) == said
    assert await counts(settings) == (LIMIT, LIMIT, behind)

    cluster = await inspect(settings, [])
    async with open_store(settings, Metrics(), start_timeout_s=10) as store:
        assert await store.resume_group(Group(cluster.id, settings.kafka_topic, settings.kafka_group_id), "ann")
    async with running(settings):
        await eventually(partial(drained, settings))
    assert (await counts(settings))[:2] == (LIMIT + 10, LIMIT + 10)
    assert await rows(url(settings), "select event_id from scores") == [("good",)]


@pytest.fixture
async def store(migrated_url: str) -> AsyncIterator[Store]:
    settings = StoreSettings(database_url=SecretStr(migrated_url))
    async with open_store(settings, Metrics(), start_timeout_s=10) as opened:
        yield opened


@pytest.fixture
def limit(store: Store) -> DeadLetterLimit:
    """At most LIMIT of WINDOW."""
    return limited(store, 0.5, WINDOW)


def limited(store: Store, ratio: float, window: int) -> DeadLetterLimit:
    settings = ConsumerSettings(
        kafka_topic=GROUP.topic,
        kafka_group_id=GROUP.group_id,
        dead_letter_limit_ratio=ratio,
        dead_letter_limit_window=window,
    )
    return DeadLetterLimit(settings, store, GROUP.cluster, Waits(Metrics()))


async def test_a_batch_larger_than_the_limit_is_admitted_up_to_it(store: Store, limit: DeadLetterLimit) -> None:
    assert await limit.admit([None, *[BAD] * 100]) == LIMIT + 1
    await store.write([], [dead_letter(number) for number in range(LIMIT)])
    assert await store.stopped(GROUP) is None
    with pytest.raises(SafetyLimit, match="20 of the last 20 records"):
        await limit.admit([BAD, None])
    assert await store.stopped(GROUP) is not None


async def test_fewer_records_than_the_window_need_as_many_dead_letters(store: Store, limit: DeadLetterLimit) -> None:
    await store.write([], [dead_letter(number) for number in range(LIMIT - 1)])
    assert await limit.admit([BAD]) == 1
    assert await limit.admit([BAD, BAD]) == 1


async def test_good_records_make_room_for_as_many_bad_ones(store: Store, limit: DeadLetterLimit) -> None:
    """A share below the limit never stops, in however large batches."""
    assert await limit.admit([None, None, None, BAD, BAD] * 200) == 1000
    await store.write([score(number, str(number)) for number in range(100, 130)], [])
    await store.write([], [dead_letter(number) for number in range(LIMIT)])
    assert await limit.admit([None, BAD]) == 1  # twenty of the last forty, and the older ones no longer count
    await store.write([score(number, str(number)) for number in range(200, 221)], [])
    assert await limit.admit([BAD] * 100) == LIMIT  # nineteen that count leave the window while nineteen come


async def test_after_a_stop_by_another_member_nothing_more_is_refused(store: Store, limit: DeadLetterLimit) -> None:
    await store.stop_group(GROUP, "too many")
    assert await limit.admit([None, None]) == 2
    with pytest.raises(SafetyLimit, match="too many"):
        await limit.admit([None, BAD])
    with pytest.raises(SafetyLimit, match="too many"):
        await limit.before_start()


async def test_dead_letters_of_ten_minutes_ago_or_of_another_topic_do_not_count(
    store: Store, limit: DeadLetterLimit, migrated_url: str
) -> None:
    await store.write([], [dead_letter(number) for number in range(LIMIT)])
    async with await psycopg.AsyncConnection.connect(migrated_url) as connection:
        await connection.execute("UPDATE dead_letters SET failed_at = failed_at - interval '10 minutes'")
    await store.write([], [dead_letter(at(number, topic="others")) for number in range(LIMIT)])
    assert await limit.admit([BAD] * LIMIT) == LIMIT


@pytest.mark.parametrize(("ratio", "window", "most"), [(0.07, 100, 7), (0.001, 10, 1), (1, 10, 10), (0.25, 10, 3)])
async def test_the_limit_is_the_share_of_the_window(store: Store, ratio: float, window: int, most: int) -> None:
    assert await limited(store, ratio, window).admit([InvalidEvent("bad")] * 200) == most
