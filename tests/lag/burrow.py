"""A real Burrow, where the program is installed, with the ZooKeeper that it does not start without.

Version 1.2.1 (Debian's) asks for the ends of logs in a way that Kafka has dropped with 4.0, so it is given Kafka 3.9.
"""

import asyncio
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from broker.samples import Place
from embedded.java import find_java
from embedded.ports import keep_ports
from embedded.programs import Program, ready, running

KAFKA: Final = Path(__file__).with_name("kafka-3.9.1.jars")
"""The last Kafka that it can ask; with a ZooKeeper beside it."""
_READY_S: Final = 40.0
_CONFIGURATION: Final = """\
[general]
pidfile="burrow.pid"
[zookeeper]
servers=["127.0.0.1:{zookeeper}"]
timeout=6
root-path="/burrow"
[client-profile.any]
client-id="burrow"
kafka-version="2.1.0"
[cluster.local]
class-name="kafka"
servers=["{servers}"]
client-profile="any"
topic-refresh=1
offset-refresh=1
[consumer.local]
class-name="kafka"
cluster="local"
servers=["{servers}"]
client-profile="any"
[httpserver.default]
address="127.0.0.1:{burrow}"
[storage.default]
class-name="inmemory"
intervals=10
min-distance=1
[evaluator.default]
class-name="caching"
expire-cache=1
"""


@dataclass(frozen=True, slots=True)
class Judged:
    """What Burrow says of a partition. `first_lag`, `last_lag`: at the ends of its window of commits."""

    status: str
    committed: int
    lag: int
    first_lag: int
    last_lag: int


def find_burrow() -> str | None:
    """The program: what BURROW names, else what is on the PATH."""
    return os.environ.get("BURROW") or shutil.which("burrow") or shutil.which("Burrow")


class Burrow:
    """It answers at `url`."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/v3/kafka/local"

    async def knows(self, topics: Collection[str]) -> bool:
        """Whether it has seen these topics: before that it drops what is committed there."""
        return set(topics) <= set((await self._get("/topic")).get("topics") or ())

    async def lag(self, group_id: str) -> dict[Place, Judged]:
        """Every partition that it has seen a commit of."""
        status = (await self._get(f"/consumer/{group_id}/lag")).get("status") or {}
        return {
            Place(one["topic"], one["partition"]): Judged(
                one["status"], one["end"]["offset"], one["current_lag"], one["start"]["lag"], one["end"]["lag"]
            )
            for one in status.get("partitions") or ()
            if one["end"] is not None
        }

    async def _get(self, path: str) -> dict[str, Any]:
        return await asyncio.to_thread(_get, self._url + path)


@asynccontextmanager
async def run_burrow(program: str, servers: str, jars: Path, directory: Path) -> AsyncIterator[Burrow]:
    """Both are stopped at the end. `jars`: the folder of KAFKA's, as an absolute path."""
    ports = keep_ports(directory / "burrow-ports.json", ("zookeeper", "burrow"))
    zookeeper = directory / "zookeeper"
    zookeeper.mkdir()
    (zookeeper / "zoo.cfg").write_text(
        f"dataDir=data\nclientPort={ports['zookeeper']}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
    )
    (directory / "burrow.toml").write_text(_CONFIGURATION.format(servers=servers, **ports))
    main = "org.apache.zookeeper.server.ZooKeeperServerMain"
    java = (find_java(), "-Xmx128m", "-XX:+UseSerialGC", "-cp", f"{jars}/*", main, "zoo.cfg")
    async with AsyncExitStack() as stack:
        log = zookeeper / "zookeeper.log"
        child = await stack.enter_async_context(running(Program("ZooKeeper", java, zookeeper, log)))
        await ready(child, _answers(ports["zookeeper"], b"srvr", b"Zookeeper version"), _READY_S)
        command = (program, "-config-dir", str(directory))
        burrow = Program("Burrow", command, directory, directory / "burrow.log")
        child = await stack.enter_async_context(running(burrow))
        await ready(child, _answers(ports["burrow"], b"GET /burrow/admin HTTP/1.0\r\n\r\n", b"HTTP"), _READY_S)
        yield Burrow(f"http://127.0.0.1:{ports['burrow']}")


async def _answers(port: int, question: bytes, begins: bytes) -> None:
    """Returns once the answer begins so: who listens may not be ready yet."""
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(question)
            answer = await reader.read(len(begins))
            writer.close()
            if answer == begins:
                return
        await asyncio.sleep(0.1)


def _get(url: str) -> dict[str, Any]:
    """{} for what it does not know."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 404:
                raise
        return {}
