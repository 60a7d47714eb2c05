"""What is done in each fault, and how it is mended."""

import asyncio
from contextlib import suppress

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from tests.faults.reading import read_ends
from tests.gameday.load import Flow, error_pages, large_pictures, pictures_of
from tests.gameday.stage import Stage

SLOW_S = 0.25
"""So much longer a slow engine takes for an image."""
HOT, HOT_PER_S = 1, 20.0
BAD_PER_S = 4.0
BACKLOG = 300
KEPT = 5
"""Records that a trim leaves in each partition."""
LATENCY_S = 3.0
_NODE = 1


async def nothing(stage: Stage) -> None:
    """It passes by itself, or nothing has to be made ready."""


async def kill_consumer(stage: Stage) -> None:
    """SIGKILL to the only one."""
    stage.members[0].kill()


async def start_consumer(stage: Stage) -> None:
    await stage.members[0].end()
    await stage.start(0)


async def kill_database(stage: Stage) -> None:
    """SIGKILL to PostgreSQL and all its processes."""
    await stage.ground.database.kill()


async def start_database(stage: Stage) -> None:
    await stage.ground.database.start()


async def slow_engine(stage: Stage) -> None:
    """From one batch to the next, as where a processor is throttled or shared."""
    stage.slow_down(SLOW_S)


async def engine_as_before(stage: Stage) -> None:
    stage.speed_up()


async def heat_partition(stage: Stage) -> None:
    """Many events with one key."""
    stage.load.flows["hot"] = Flow(HOT_PER_S, pictures_of(stage.pictures), HOT)


async def cool_partition(stage: Stage) -> None:
    del stage.load.flows["hot"]
    stage.speed_up()


async def flood(stage: Stage) -> None:
    """A producer sends the pages of a failing web server as pictures."""
    stage.load.flows["poison"] = Flow(BAD_PER_S, error_pages())


async def end_flood(stage: Stage) -> None:
    del stage.load.flows["poison"]


async def loop_member(stage: Stage) -> None:
    """The second consumer is stopped and started again and again, until `end_loop`."""
    stage.looping = asyncio.create_task(_loop(stage), name="loop")


async def end_loop(stage: Stage) -> None:
    assert stage.looping is not None
    stage.looping.cancel()
    with suppress(asyncio.CancelledError):
        await stage.looping
    if not stage.members[1].running:
        await stage.start(1)


async def _loop(stage: Stage) -> None:
    while True:
        member = stage.members[1]
        member.stop()
        await member.end()
        await (await stage.start(1)).joined()


async def kill_broker(stage: Stage) -> None:
    """SIGKILL to the only one."""
    await stage.ground.brokers.kill(_NODE)


async def start_broker(stage: Stage) -> None:
    await stage.ground.brokers.start(_NODE)


async def fall_behind(stage: Stage) -> None:
    """A backlog of large pictures, and an engine that needs long for it."""
    stage.slow_down(SLOW_S)
    photos = await asyncio.to_thread(large_pictures)
    await stage.load.publish("backlog", Flow(0, pictures_of(photos)), BACKLOG)


async def trim(stage: Stage) -> None:
    """Retention deletes what nobody has polled yet: all but the last records of each partition."""
    servers, topic = stage.ground.brokers.direct_servers, stage.name
    before = {TopicPartition(topic, partition): RecordsToDelete(before_offset=end - KEPT)
              for partition, end in (await read_ends(servers, topic)).items()}  # fmt: skip
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.delete_records(before)
    finally:
        await admin.close()


async def slow_source(stage: Stage) -> None:
    """Each answer takes some ten seconds."""
    stage.ground.source_line.latency_s = LATENCY_S


async def source_as_before(stage: Stage) -> None:
    stage.ground.source_line.latency_s = 0.0
