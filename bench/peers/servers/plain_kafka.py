"""A plain aiokafka consumer, in the two forms that its documentation shows: `rows` and `batches`."""

import asyncio
import os
import sys

import torch
from aiokafka import AIOKafkaConsumer

from bench.peers.servers.model import Classifier
from bench.peers.servers.rows import connect, insert


def _consumer(*, commits_by_itself: bool) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        os.environ["PEER_TOPIC"],
        bootstrap_servers=os.environ["PEER_SERVERS"],
        group_id=os.environ["PEER_GROUP"],
        auto_offset_reset="earliest",
        enable_auto_commit=commits_by_itself,
    )


async def rows() -> None:
    """A loop over the consumer; the client commits every five seconds."""
    classifier, connection = Classifier(), await connect()
    async with _consumer(commits_by_itself=True) as consumer:
        async for record in consumer:
            answers = classifier.predict(classifier.decode(record.value).unsqueeze(0))
            await insert(connection, [(record.topic, record.partition, record.offset)], answers)


async def batches() -> None:
    """`getmany`, one insert for all, then a commit by hand: at least once."""
    classifier, connection = Classifier(), await connect()
    async with _consumer(commits_by_itself=False) as consumer:
        while True:
            polled = await consumer.getmany(timeout_ms=1000, max_records=32)
            records = [record for found in polled.values() for record in found]
            if records:
                answers = classifier.predict(torch.stack([classifier.decode(record.value) for record in records]))
                await insert(connection, [(at.topic, at.partition, at.offset) for at in records], answers)
                await consumer.commit()


if __name__ == "__main__":
    asyncio.run({"rows": rows, "batches": batches}[sys.argv[1]]())
