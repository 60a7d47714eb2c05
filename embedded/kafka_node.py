"""One node of an embedded Kafka cluster, and its server.properties."""

from collections.abc import Mapping
from dataclasses import dataclass, field

LARGEST_MESSAGE_BYTES = 20 * 1024 * 1024


@dataclass(frozen=True)
class KafkaNode:
    """Broker and controller in one process, on 127.0.0.1."""

    port: int
    controller_port: int
    node_id: int = 1
    others: Mapping[int, int] = field(default_factory=dict)
    """Controller ports of the other nodes of the cluster, by node id."""
    advertised_port: int | None = None
    """Port that clients are told, where a proxy stands before this node; None: its own."""
    direct_port: int | None = None
    """A second port, past any proxy, which the nodes themselves use; None: they use the clients'."""

    @property
    def address(self) -> str:
        """What clients connect to."""
        return f"127.0.0.1:{self.port}"

    def properties(self) -> str:
        """Sized for one machine. Paths are relative to the working directory: any character may stand in its name."""
        voters = {self.node_id: self.controller_port, **self.others}
        copies = min(3, len(voters))
        direct = {} if self.direct_port is None else {"DIRECT": self.direct_port}
        listeners = {"PLAINTEXT": self.port, **direct, "CONTROLLER": self.controller_port}
        advertised = {"PLAINTEXT": self.advertised_port or self.port, **direct}
        lines = {
            "process.roles": "broker,controller",
            "node.id": self.node_id,
            "controller.quorum.voters": ",".join(f"{node}@127.0.0.1:{port}" for node, port in sorted(voters.items())),
            "controller.listener.names": "CONTROLLER",
            "listeners": _addresses(listeners),
            "advertised.listeners": _addresses(advertised),
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listeners),
            "inter.broker.listener.name": "DIRECT" if direct else "PLAINTEXT",
            "log.dirs": "data",
            "auto.create.topics.enable": "false",
            "message.max.bytes": LARGEST_MESSAGE_BYTES,
            "replica.fetch.max.bytes": LARGEST_MESSAGE_BYTES,
            # As many copies as there are nodes, and all but one of them must have a record before it is acknowledged.
            # Kafka's own topics need no more than one partition.
            "default.replication.factor": copies,
            "min.insync.replicas": max(1, copies - 1),
            "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.num.partitions": 1,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": max(1, copies - 1),
            "share.coordinator.state.topic.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": max(1, copies - 1),
            # Groups form at once, and a dead member is noticed soon.
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            # After a kill the controller waits for the broker's old session to end before it lets the new one in.
            "broker.session.timeout.ms": 4000,
            "broker.heartbeat.interval.ms": 1000,
            # A small process: few threads, and a cleaner that does not take 128 MB at start.
            "num.network.threads": 1,
            "num.io.threads": 2,
            "background.threads": 2,
            "num.recovery.threads.per.data.dir": 1,
            "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
            "log.index.size.max.bytes": 1024 * 1024,
        }
        return "".join(f"{name}={value}\n" for name, value in lines.items())


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items())
