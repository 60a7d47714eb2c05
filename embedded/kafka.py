"""A real Kafka broker as a child of ours: formatted once, on the same port at every start."""

import base64
import os
import shutil
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from embedded.files import place, scratch_directory, set_aside, write_whole
from embedded.java import find_java
from embedded.kafka_node import KafkaNode
from embedded.kafka_probe import broker_answers
from embedded.locks import own_directory
from embedded.ports import keep_ports
from embedded.programs import Child, Program, ready, run_to_end, running
from telemetry import logger

# Serial collector and first-tier compiler: a quick start and little memory rather than the last bit of throughput.
JVM = (
    *("-Xms128m", "-Xmx384m", "-XX:MaxDirectMemorySize=128m", "-Xss512k"),
    *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError"),
    *("-Djava.awt.headless=true", "-Dlog4j2.configurationFile=file:log4j2.properties"),
)
LOGGING = """\
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d %p %c{1}: %m%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
"""

log = logger("embedded")


@dataclass(frozen=True)
class Kafka:
    """A broker that answers."""

    bootstrap_servers: str
    child: Child


@asynccontextmanager
async def run_kafka(
    data_dir: Path, jars: Path, *, fresh: bool = False, start_timeout_s: float = 60.0
) -> AsyncIterator[Kafka]:
    """Run a broker on the data in `data_dir`/kafka with the jars of `fetch_jars`; stopped at the end of the context.

    `fresh` forgets the data of earlier runs first.
    Start it from a thread that lives as long as the broker shall (see `guards.py`).
    CommandFailed when the directory is in use, there is no Java, or the broker ends; DependencyAway after the timeout.
    """
    began = time.monotonic()
    java = find_java()
    home = place(data_dir, "kafka")
    async with own_directory(home) as lock:
        ports = keep_ports(home / "ports.json", ("kafka", "controller"))
        node = KafkaNode(port=ports["kafka"], controller_port=ports["controller"])
        if fresh:
            shutil.rmtree(home / "data", ignore_errors=True)
        async with _run_broker(home, node, _Programs(java, jars, lock), new_cluster_id()) as child:
            await ready(child, broker_answers("127.0.0.1", node.port), start_timeout_s)
            log.info("kafka is ready", address=node.address, seconds=round(time.monotonic() - began, 1))
            yield Kafka(node.address, child)


@asynccontextmanager
async def run_node(home: Path, node: KafkaNode, jars: Path, cluster_id: str) -> AsyncIterator[Child]:
    """Start one node of a cluster on the data in `home`; it answers once most of the nodes are there.

    Else as `run_kafka`. Each node has a `home` of its own; `cluster_id`, of `new_cluster_id`, is that of all of them.
    """
    java = find_java()
    async with own_directory(home) as lock, _run_broker(home, node, _Programs(java, jars, lock), cluster_id) as child:
        yield child


def new_cluster_id() -> str:
    """Kafka's form of a UUID; a leading dash would read as an option."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")


@asynccontextmanager
async def _run_broker(home: Path, node: KafkaNode, kafka: "_Programs", cluster_id: str) -> AsyncIterator[Child]:
    """Format where that was not done yet, and start."""
    if not _is_formatted(home / "data"):
        await _format(home, node, kafka, cluster_id)
    _write_configuration(home, node)
    async with running(kafka.broker(home)) as child:
        yield child


@dataclass(frozen=True)
class _Programs:
    """The two Java programs that are used."""

    java: Path
    jars: Path
    lock: int

    def broker(self, home: Path) -> Program:
        return self._program("Kafka", home, home / "kafka.log", "kafka.Kafka", "server.properties")

    def format(self, home: Path, cluster_id: str, output: Path) -> Program:
        arguments = ("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", "server.properties")
        return self._program("Kafka's StorageTool", home, output, *arguments)

    def _program(self, name: str, home: Path, output: Path, *arguments: str) -> Program:
        return Program(
            name=name,
            command=(self.java, *JVM, "-cp", f"{self.jars.absolute()}/*", *arguments),
            directory=home,
            log=output,
            descriptors=(self.lock,),
            # Java takes the encoding of file names from the locale.
            environment={**os.environ, "LC_ALL": "C.UTF-8"},
        )


def _is_formatted(data: Path) -> bool:
    properties = data / "meta.properties"
    return properties.exists() and "cluster.id=" in properties.read_text(encoding="utf-8", errors="replace")


async def _format(home: Path, node: KafkaNode, kafka: _Programs, cluster_id: str) -> None:
    """Format beside the final place and rename: data is there as a whole or not at all."""
    if (home / "data").exists():
        set_aside(home / "data")
    with scratch_directory(home, "formatting-") as scratch:
        _write_configuration(scratch, node)
        await run_to_end(kafka.format(scratch, cluster_id, home / "format.log"))
        (scratch / "data").rename(home / "data")


def _write_configuration(home: Path, node: KafkaNode) -> None:
    write_whole(home / "server.properties", node.properties())
    write_whole(home / "log4j2.properties", LOGGING)
