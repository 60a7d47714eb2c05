"""A group of ours: two consumers as processes, with records of all kinds behind them, first stuck and then killed."""

import os
import signal
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from broker.groups import open_groups
from broker.samples import Place
from broker.topics import create_topics
from settings import KafkaSettings
from tests.lag.logs import Logs
from tests.system.processes import ROOT, environment
from tests.waiting import eventually

GROUP: Final = "ours"
TOPIC: Final = "photos"
MEMBERS: Final = 2
SESSION_S: Final = 6
OPEN: Final = Place(TOPIC, 2)
WHAT: Final = {
    Place(TOPIC, 0): "records behind",
    Place(TOPIC, 1): "records behind",
    OPEN: "an open transaction behind",
    Place(TOPIC, 3): "all consumed",
    Place(TOPIC, 4): "all consumed, a marker at the end",
    Place(TOPIC, 5): "empty",
}


@dataclass
class Ours:
    """The two consumers."""

    settings: KafkaSettings
    logs: Logs
    members: list[Process]

    async def work(self) -> None:
        """Consume everything; then the engine stands still while more arrives."""
        for partition in range(4):
            await self.logs.records(Place(TOPIC, partition), 20)
        await self.logs.transaction(Place(TOPIC, 4), 5, commit=True)
        async with open_groups(self.settings) as groups:

            async def caught_up() -> bool:
                sample = await groups.look(GROUP, [TOPIC])
                return sum(one.end for one in sample.partitions) == 86 and all(
                    one.committed == one.end for one in sample.partitions
                )

            await eventually(caught_up, "our group has caught up")
        for member in self.members:
            member.send_signal(signal.SIGUSR1)
        await self.logs.records(Place(TOPIC, 0), 10)
        await self.logs.records(Place(TOPIC, 1), 3)

    async def kill(self) -> None:
        """Without a word; returns when Kafka has seen it."""
        for member in self.members:
            os.killpg(member.pid, signal.SIGKILL)
            await member.wait()
        async with open_groups(self.settings) as groups:

            async def empty() -> bool:
                return await groups.members(GROUP) == ()

            await eventually(empty, "our group is empty", within_s=30)
        await self.logs.records(Place(TOPIC, 3), 4)


@asynccontextmanager
async def joined(logs: Logs, servers: str, database_url: str) -> AsyncIterator[Ours]:
    """Both with their partitions."""
    settings = KafkaSettings(kafka_bootstrap_servers=servers, kafka_topic=TOPIC, kafka_group_id=GROUP)
    await create_topics(settings, max_image_bytes=2**20, partitions=len(WHAT))
    given = {
        "kafka_bootstrap_servers": servers, "kafka_topic": TOPIC, "kafka_group_id": GROUP,
        "kafka_session_timeout_s": SESSION_S, "database_url": database_url, "log_level": "error",
    }  # fmt: skip
    ours = Ours(settings, logs, [])
    async with AsyncExitStack() as stack:
        for _ in range(MEMBERS):
            process = await create_subprocess_exec(
                sys.executable, "-m", "tests.lag.blocked_consumer",
                cwd=ROOT, env=environment(given), stdin=DEVNULL, start_new_session=True,
            )  # fmt: skip
            stack.push_async_callback(_end, process)
            ours.members.append(process)
        async with open_groups(settings) as groups:

            async def all_owned() -> bool:
                members = await groups.members(GROUP) or ()
                return len(members) == MEMBERS and sum(len(one.places) for one in members) == len(WHAT)

            await eventually(all_owned, "our consumers have all partitions")
        yield ours


async def _end(process: Process) -> None:
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
