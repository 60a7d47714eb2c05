"""Consumers as they are measured: ours and the peers', each run with a group and tables of its own."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer

from bench.cases import Context
from bench.ground import Ground, execute
from bench.peers.catalogue import CONSUMERS, MLSERVER_KAFKA, Peer, in_json, ours
from bench.peers.ledgers import PEER_TABLE, PROBE, Ledger, Table, Topic
from bench.peers.processes import Tree
from bench.peers.seats import Seats
from broker.clients import build_producer

OURS: tuple[Mapping[str, str], ...] = (
    {"engine": "torch", "precision": "fp32"},
    {"engine": "auto", "precision": "auto"},
)
_LISTENS_S = 1.0
_SESSION_S = 10
"""The clients' default; the benchmark's own consumers are given more, so that they may hold still."""


@dataclass(slots=True)
class Backlog:
    """Records in Kafka that nobody has read."""

    ground: Ground
    room: dict[str, Any]
    images: Sequence[bytes]

    @property
    def servers(self) -> str:
        return str(self.room["kafka_bootstrap_servers"])


async def publish(context: Context, count: int) -> Backlog:
    """`count` images on a topic of their own."""
    ground = await context.ground()
    room = await ground.room()
    images = context.images.read(count, 1)
    await ground.publish(room["kafka_topic"], images)
    return Backlog(ground, room, images)


@dataclass(slots=True)
class Line:
    """A consumer, and one run of it at a time."""

    name: str
    peer: Peer | None
    settings: Mapping[str, object]
    """Of ours."""
    seats: Seats
    backlog: Backlog

    async def fresh(self) -> "Running":
        """A new group and empty tables: what is read and written from now on."""
        ground, room = self.backlog.ground, self.backlog.room
        url = await ground.schema()
        group = url.rpartition("%3D")[2]
        if self.peer is None:
            mine = {"kafka_group_id": group, "database_url": url, "kafka_session_timeout_s": _SESSION_S}
            peer = ours(self.name, "consumer", {**self.settings, **room, **mine})
            return Running(self, peer, {}, Table(url, "scores"))
        variables = {"PEER_SERVERS": self.backlog.servers, "PEER_TOPIC": room["kafka_topic"], "PEER_GROUP": group}
        if self.peer is MLSERVER_KAFKA:
            # It has no group and reads what comes from now on: its topics are as new as its run.
            incoming, outgoing = [str((await ground.room(1))["kafka_topic"]) for _ in range(2)]
            variables |= {"PEER_TOPIC": incoming, "PEER_OUTPUT": outgoing}
            return Running(self, self.peer, variables, Topic(ground.settings, outgoing))
        await execute(url, PEER_TABLE)
        return Running(self, self.peer, {**variables, "PEER_DATABASE_URL": url}, Table(url, "peer_scores"))


@dataclass(slots=True)
class Running:
    """One run; it may be started several times, each time going on where the one before was ended."""

    line: Line
    peer: Peer
    variables: Mapping[str, str]
    ledger: Ledger
    fed: bool = False

    @asynccontextmanager
    async def up(self) -> AsyncGenerator[Tree, None]:
        """Started, and ended with the context. Raises Skipped."""
        async with self.line.seats.started(self.peer, self.variables) as (tree, seat):
            if self.peer is MLSERVER_KAFKA and not self.fed:
                await tree.serves(f"http://127.0.0.1:{seat.port}/v2/models/resnet50/ready")
                await tree.until(self._feed())
                self.fed = True
            yield tree

    async def _feed(self) -> None:
        """Publish once it listens: a record that it answers shows that it does."""
        producer = build_producer(self.line.backlog.ground.settings)
        await producer.start()
        try:
            for number in itertools.count():
                await self._send(producer, PROBE + str(number), self.line.backlog.images[0])
                await asyncio.sleep(_LISTENS_S)
                if await self.ledger.listens():
                    break
            for number, image in enumerate(self.line.backlog.images):
                await self._send(producer, str(number), image)
            await producer.flush()
        finally:
            await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, key: str, image: bytes) -> None:
        topic, headers = self.variables["PEER_TOPIC"], [("mlserver-model", b"resnet50")]
        await producer.send(topic, in_json(image), key=key.encode(), headers=headers)


def lines(seats: Seats, backlog: Backlog, only: Sequence[str], given: Mapping[str, object]) -> list[Line]:
    """Ours with the settings of the run, and the peers; `only`: names of those that take part, empty: all."""
    mine = [Line(f"ours {one['engine']} {one['precision']}", None, {**given, **one}, seats, backlog) for one in OURS]
    peers = (peer for peer in (*CONSUMERS, MLSERVER_KAFKA) if not only or peer.name in only)
    return mine + [Line(peer.name, peer, {}, seats, backlog) for peer in peers]
