"""Kafka's own word on a group: `kafka-consumer-groups.sh --describe`, from the artifact kafka-tools."""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path

from broker.samples import Place
from embedded.jars import LOCK_FILE, fetch_locked
from embedded.java import find_java

TOOLS = Path(__file__).with_name("kafka-tools-4.3.1.jars")
MAIN = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Described:
    """A line of its table; None for a dash."""

    committed: int | None
    end: int | None
    lag: int | None
    consumer_id: str | None
    host: str | None


async def describe(servers: str, group_id: str, cache_dir: Path) -> dict[Place, Described]:
    """What it prints of the group. It is of Kafka 4.3.1, whatever the broker is."""
    folders = (await fetch_locked(LOCK_FILE, cache_dir), await fetch_locked(TOOLS, cache_dir))
    process = await asyncio.create_subprocess_exec(
        find_java(), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        "-cp", ":".join(f"{folder}/*" for folder in folders), MAIN,
        "--bootstrap-server", servers, "--describe", "--group", group_id,
        stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    async with asyncio.timeout(_WITHIN_S):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return parse(output.decode())


def parse(printed: str) -> dict[Place, Described]:
    """Its table, by the names of its columns: their number has changed between versions."""
    lines = [line.split() for line in printed.splitlines()]
    names = next((cells for cells in lines if cells[:1] == ["GROUP"]), [])
    rows = [dict(zip(names, cells, strict=True)) for cells in lines if len(cells) == len(names) and cells != names]
    return {
        Place(row["TOPIC"], int(row["PARTITION"])): Described(
            _number(row["CURRENT-OFFSET"]),
            _number(row["LOG-END-OFFSET"]),
            _number(row["LAG"]),
            None if row["CONSUMER-ID"] == "-" else row["CONSUMER-ID"],
            None if row["HOST"] == "-" else row["HOST"].lstrip("/"),
        )
        for row in rows
    }


def _number(cell: str) -> int | None:
    return None if cell == "-" else int(cell)
