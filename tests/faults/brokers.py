"""A Kafka of one or three nodes, each of which a test may stop, kill and freeze."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from embedded.kafka import new_cluster_id, run_node
from embedded.kafka_node import KafkaNode
from embedded.kafka_probe import broker_answers
from embedded.ports import keep_ports
from embedded.programs import Child, ready
from tests.faults import process_trees

START_S, ANSWER_S, ATTEMPT_S, PAUSE_S = 90.0, 60.0, 3.0, 0.1
Answer = TypeVar("Answer")


class Brokers:
    """Made by `run_brokers`. Node ids go from 1 to `count`; with three nodes every record has three copies."""

    def __init__(self, data_dir: Path, jars: Path, nodes: Mapping[int, KafkaNode], cluster_id: str) -> None:
        self.count = len(nodes)
        self.bootstrap_servers = _servers({node.advertised_port or node.port for node in nodes.values()})
        """For the clients under test: the proxies, where there are any."""
        self.ports = {number: node.port for number, node in nodes.items()}
        """What a proxy stands before, by node."""
        direct = {number: node.direct_port or node.port for number, node in nodes.items()}
        self.direct_servers = _servers(set(direct.values()))
        """For who watches: past all proxies, whatever is broken there."""
        self._direct = direct
        self._data_dir = data_dir
        self._jars = jars
        self._nodes = nodes
        self._cluster_id = cluster_id
        self._running: dict[int, tuple[Child, AsyncExitStack]] = {}
        self._frozen: dict[int, list[int]] = {}

    async def start(self, node: int) -> None:
        """Start a node after `stop` or `kill`; returns when it answers and the cluster counts it in."""
        assert node not in self._running
        async with AsyncExitStack() as started:
            home = self._data_dir.absolute() / f"kafka-{node}"
            running = run_node(home, self._nodes[node], self._jars, self._cluster_id)
            child = await started.enter_async_context(running)
            await ready(child, self._registered(node), START_S)
            self._running[node] = child, started.pop_all()

    async def stop(self, node: int) -> None:
        """SIGTERM: the node hands its partitions over first, where there is another one to take them."""
        await self.resume(node)
        if node in self._running:
            _, running = self._running.pop(node)
            await running.aclose()

    async def kill(self, node: int) -> None:
        """SIGKILL."""
        if node in self._running:
            child, _ = self._running[node]
            process_trees.kill(child.pid)
            await child.ended()
            await self.stop(node)

    async def pause(self, node: int) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        child, _ = self._running[node]
        self._frozen[node] = process_trees.freeze(child.pid)

    async def resume(self, node: int) -> None:
        """The end of `pause`."""
        process_trees.thaw(self._frozen.pop(node, []))

    async def leader(self, topic: str, partition: int) -> int:
        """The node that leads a partition, as far as the cluster knows: it takes seconds to notice a death."""

        async def ask(admin: AIOKafkaAdminClient) -> int:
            return next((p["leader"] for p in await _partitions(admin, topic) if p["partition"] == partition), -1)

        return await self._asked(ask, lambda leader: leader > 0, f"a leader of {topic}/{partition}")

    async def coordinator(self, group: str) -> int:
        """The node that coordinates a consumer group, likewise."""

        async def ask(admin: AIOKafkaAdminClient) -> int:
            return int(await admin.find_coordinator(group))

        return await self._asked(ask, lambda node: node > 0, f"the coordinator of {group}")

    async def caught_up(self, topic: str) -> None:
        """Wait until every node has every record of the topic: only then may another one be taken away for good."""

        async def ask(admin: AIOKafkaAdminClient) -> list[int]:
            return [len(partition["isr"]) for partition in await _partitions(admin, topic)]

        await self._asked(ask, lambda copies: bool(copies) and min(copies) == self.count, f"all copies of {topic}")

    async def _registered(self, node: int) -> None:
        port = self._direct[node]
        await broker_answers("127.0.0.1", port)

        async def ask(admin: AIOKafkaAdminClient) -> set[int]:
            return {broker["node_id"] for broker in (await admin.describe_cluster())["brokers"]}

        await self._asked(ask, lambda nodes: node in nodes, f"node {node} in the cluster", servers=_servers({port}))

    async def _asked(
        self,
        ask: Callable[[AIOKafkaAdminClient], Awaitable[Answer]],
        good: Callable[[Answer], bool],
        what: str,
        *,
        servers: str | None = None,
    ) -> Answer:
        """The first good answer. A node that is dead or frozen may be asked by chance: then again, by a new client."""
        last: Any = None
        try:
            async with asyncio.timeout(ANSWER_S):
                while True:
                    try:
                        async with asyncio.timeout(ATTEMPT_S), self._admin(servers) as admin:
                            answer = await ask(admin)
                        if good(answer):
                            return answer
                        last = answer
                    except (KafkaError, OSError, TimeoutError) as error:
                        last = error
                    await asyncio.sleep(PAUSE_S)
        except TimeoutError:
            raise AssertionError(f"Kafka does not tell {what} within {ANSWER_S:g} s; last: {last!r}") from None

    @asynccontextmanager
    async def _admin(self, servers: str | None) -> AsyncIterator[AIOKafkaAdminClient]:
        up = {self._direct[node] for node in self._running if node not in self._frozen}
        admin = AIOKafkaAdminClient(bootstrap_servers=servers or _servers(up), request_timeout_ms=int(ATTEMPT_S * 1000))
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()


@asynccontextmanager
async def run_brokers(
    data_dir: Path, jars: Path, *, count: int = 1, advertise: Mapping[int, int] | None = None
) -> AsyncIterator[Brokers]:
    """A cluster of `count` nodes, all of them killed at the end.

    `advertise`: the port that clients are told for a node, of a proxy before it. The nodes themselves use other ports.
    """
    await asyncio.to_thread(data_dir.mkdir, parents=True, exist_ok=True)
    numbers = range(1, count + 1)
    kinds = ("clients", "direct", "controller")
    names = [f"{kind}-{number}" for number in numbers for kind in kinds]
    ports = keep_ports(data_dir / "ports.json", names)
    nodes = {
        number: KafkaNode(
            port=ports[f"clients-{number}"],
            controller_port=ports[f"controller-{number}"],
            node_id=number,
            others={other: ports[f"controller-{other}"] for other in numbers if other != number},
            advertised_port=(advertise or {}).get(number),
            direct_port=ports[f"direct-{number}"],
        )
        for number in numbers
    }
    brokers = Brokers(data_dir, jars, nodes, new_cluster_id())
    try:
        async with asyncio.TaskGroup() as starts:
            for number in numbers:
                starts.create_task(brokers.start(number))
        yield brokers
    finally:
        await asyncio.gather(*(brokers.kill(number) for number in numbers))


async def _partitions(admin: AIOKafkaAdminClient, topic: str) -> list[dict[str, Any]]:
    (described,) = await admin.describe_topics([topic])
    return list(described["partitions"])


def _servers(ports: set[int]) -> str:
    return ",".join(f"127.0.0.1:{port}" for port in sorted(ports))
