"""FastStream over Kafka, in the two forms that its documentation shows: `rows` and `batches`."""

import asyncio
import os
import sys

import torch
from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage

from bench.peers.servers.model import Classifier
from bench.peers.servers.rows import connect, insert

_TOPIC, _GROUP = os.environ["PEER_TOPIC"], os.environ["PEER_GROUP"]


async def main(form: str) -> None:
    """Run until told to stop."""
    broker = KafkaBroker(os.environ["PEER_SERVERS"])
    classifier, connection = Classifier(), await connect()

    if form == "rows":
        # Nothing said about acknowledgement: the client commits by itself.
        @broker.subscriber(_TOPIC, group_id=_GROUP, auto_offset_reset="earliest")
        async def score(body: bytes, message: KafkaMessage) -> None:
            answers = classifier.predict(classifier.decode(body).unsqueeze(0))
            raw = message.raw_message
            await insert(connection, [(raw.topic, raw.partition, raw.offset)], answers)

    else:
        # Acknowledged after the handler: at least once.
        @broker.subscriber(
            _TOPIC,
            group_id=_GROUP,
            auto_offset_reset="earliest",
            batch=True,
            max_records=32,
            ack_policy=AckPolicy.NACK_ON_ERROR,
        )
        async def score_all(bodies: list[bytes], message: KafkaMessage) -> None:
            answers = classifier.predict(torch.stack([classifier.decode(body) for body in bodies]))
            await insert(connection, [(raw.topic, raw.partition, raw.offset) for raw in message.raw_message], answers)

    await FastStream(broker).run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
