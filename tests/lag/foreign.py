"""A group that is not ours: one member, and a commit of its own kind in each partition, about every second."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from broker.samples import Place
from tests.lag.logs import Logs
from tests.waiting import eventually

GROUP: Final = "foreign"
RUNS, LOGS, AGAIN, COMPACTED = "runs", "logs", "again", "compacted"
TOPICS: Final = (RUNS, LOGS, AGAIN, COMPACTED)
ROUNDS: Final = 12
_APART_S: Final = 1.3
"""More than Burrow's least distance between two commits."""
OPEN: Final = Place(LOGS, 2)
WHAT: Final = {
    Place(RUNS, 0): "keeps up",
    Place(RUNS, 1): "falls behind",
    Place(RUNS, 2): "commits where it stands",
    Place(RUNS, 3): "went back",
    Place(RUNS, 4): "catches up",
    Place(RUNS, 5): "never committed",
    Place(RUNS, 6): "empty",
    Place(LOGS, 0): "a marker behind the last record",
    Place(LOGS, 1): "an aborted transaction ahead",
    OPEN: "an open transaction ahead",
    Place(LOGS, 3): "trimmed beyond the commit",
    Place(LOGS, 4): "committed beyond the end",
    Place(AGAIN, 0): "topic made again",
    Place(COMPACTED, 0): "compacted",
}


@dataclass
class Foreign:
    """The member."""

    logs: Logs
    consumer: AIOKafkaConsumer

    async def work(self) -> None:
        """Some rounds; afterwards nothing moves any more."""
        for number in range(ROUNDS):
            for partition, records in ((0, 5), (1, 5), (2, 1)):
                await self.logs.records(Place(RUNS, partition), records)
            offsets = {
                Place(RUNS, 0): 5 * (number + 1),
                Place(RUNS, 1): 1 + number,
                Place(RUNS, 2): 3,
                Place(RUNS, 3): 30 if number < ROUNDS - 2 else 10,
                Place(RUNS, 4): 20 * (number + 1),
                Place(RUNS, 6): 0,
                Place(LOGS, 0): 5,
                Place(LOGS, 1): 5,
                OPEN: 5,
                Place(LOGS, 3): 20,
                Place(LOGS, 4): 100,
                Place(COMPACTED, 0): 7,
            }
            await self.consumer.commit({TopicPartition(*place): offset for place, offset in offsets.items()})
            await asyncio.sleep(_APART_S)

    async def leave(self) -> None:
        """And more is published."""
        await self.consumer.stop()
        for place in (Place(RUNS, 0), Place(RUNS, 1), Place(RUNS, 4)):
            await self.logs.records(place, 3)


async def fill(logs: Logs) -> None:
    """All the topics, before the group is there. Of `again` only the first life, and a commit in it."""
    await logs.make(RUNS, 7)
    await logs.make(LOGS, 5)
    await logs.make(AGAIN, 1)
    await logs.compacted(COMPACTED, keys=5, times=10)
    for place, records in ((Place(RUNS, 2), 5), (Place(RUNS, 3), 50), (Place(RUNS, 4), 400), (Place(RUNS, 5), 7)):
        await logs.records(place, records)
    await logs.transaction(Place(LOGS, 0), 5, commit=True)
    await logs.records(Place(LOGS, 1), 5)
    await logs.transaction(Place(LOGS, 1), 5, commit=False)
    await logs.records(Place(LOGS, 1), 5)
    await logs.records(OPEN, 5)
    await logs.records(Place(LOGS, 3), 50)
    await logs.trim(Place(LOGS, 3), 30)
    await logs.records(Place(LOGS, 4), 10)
    await logs.records(Place(AGAIN, 0), 50)


async def make_again(logs: Logs, servers: str) -> None:
    """The group commits in the topic's first life; then it is deleted and made again."""
    async with AIOKafkaConsumer(bootstrap_servers=servers, group_id=GROUP, enable_auto_commit=False) as consumer:
        consumer.assign([TopicPartition(AGAIN, 0)])
        await consumer.commit({TopicPartition(AGAIN, 0): 40})
    await logs.delete(AGAIN)
    await logs.make(AGAIN, 1)
    await logs.records(Place(AGAIN, 0), 10)


@asynccontextmanager
async def joined(logs: Logs, servers: str) -> AsyncIterator[Foreign]:
    """The member with everything, and the transaction that stays open."""
    consumer = AIOKafkaConsumer(
        *TOPICS, bootstrap_servers=servers, group_id=GROUP, enable_auto_commit=False, auto_offset_reset="earliest",
        session_timeout_ms=6000, heartbeat_interval_ms=1500,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(logs.open_transaction(OPEN, 4))
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        await eventually(lambda: len(consumer.assignment()) == len(WHAT), "the foreign group has its partitions")
        consumer.pause(*consumer.assignment())
        yield Foreign(logs, consumer)
