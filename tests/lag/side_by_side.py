"""`python -m tests.lag.side_by_side [REPORT.json]`: our figures, Kafka's own and Burrow's on the same groups.

Two groups, one of ours and one that is not, in logs of all kinds: just after the last commit, when the consumers have
been silent for a while, and when they are gone.
Burrow takes part where it is installed (see burrow.py). Exit code 1 where a difference has no reason.
"""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from platformdirs import user_cache_path

from broker.samples import Place
from embedded.jars import fetch_jars, fetch_locked
from embedded.kafka import run_kafka
from embedded.postgres import run_postgres
from schemas.lag import LagReport, Status
from store.migrations import migrate
from tests.lag import burrow as other
from tests.lag import foreign, ours
from tests.lag.burrow import Burrow, Judged, find_burrow, run_burrow
from tests.lag.comparison import Row, differences, table
from tests.lag.consumer_groups import describe
from tests.lag.logs import open_logs
from tests.system.processes import ROOT, environment
from tests.waiting import eventually

SEEN_S = 2.0
"""Longer than Burrow and our watch need to see where logs end."""
SETTLED_S = 8.0
"""Longer than a silent member of ours is waited for, and than Burrow keeps what it has worked out."""
WINDOW_S = 14.0
"""Longer than the foreign group's commits lie apart, from the first to the last."""
_LINE_BYTES = 1 << 20
_GROUPS = {ours.GROUP: (ours.WHAT, {ours.OPEN: 2}), foreign.GROUP: (foreign.WHAT, {foreign.OPEN: 4})}


class Watch:
    """`streamscorer lag --watch --json` of one group, from early on."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.latest: LagReport | None = None

    async def follow(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.latest = LagReport.model_validate_json(line)


@asynccontextmanager
async def watching(settings: dict[str, Any], group_id: str) -> AsyncIterator[Watch]:
    process = await _lag({**settings, "lag_interval_s": 1}, "--watch", "--group-id", group_id)
    watch = Watch(process)
    following = asyncio.create_task(watch.follow())
    try:
        yield watch
    finally:
        process.kill()
        await process.wait()
        await following


async def asked(settings: dict[str, Any], group_id: str) -> LagReport:
    """One `streamscorer lag --json --group-id`."""
    process = await _lag(settings, "--group-id", group_id)
    output, _ = await process.communicate()
    return LagReport.model_validate_json(output)


async def _lag(settings: dict[str, Any], *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", "lag", "--json", *arguments,
        cwd=ROOT, env=environment(settings), stdin=DEVNULL, stdout=PIPE, limit=_LINE_BYTES,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judgements:
    """What those who have watched say of a group at one moment."""

    group_id: str
    ours: dict[Place, Status]
    burrow: dict[Place, Judged] | None


async def judged(watch: Watch, burrow: Burrow | None) -> Judgements:
    assert watch.latest is not None, "the watch has said nothing"
    ours = {Place(one.topic, one.partition): one.status for one in watch.latest.partitions}
    group_id = watch.latest.group_id
    return Judgements(group_id, ours, await burrow.lag(group_id) if burrow else None)


async def compared(stage: str, settings: dict[str, Any], said: Judgements) -> list[Row]:
    """One group, which does not move meanwhile."""
    servers, group_id = str(settings["kafka_bootstrap_servers"]), said.group_id
    figures = {Place(one.topic, one.partition): one for one in (await asked(settings, group_id)).partitions}
    described = await describe(servers, group_id, user_cache_path("streamscorer"))
    what, open_records = _GROUPS[group_id]
    burrow = said.burrow or {}
    return [
        Row(
            stage, group_id, place, what.get(place, ""), open_records.get(place, 0),
            figures.get(place), said.ours.get(place), described.get(place), burrow.get(place), said.burrow is not None,
        )
        for place in sorted({*figures, *described, *burrow})
    ]  # fmt: skip


async def measure(program: str | None) -> list[Row]:
    """`program`: Burrow's, if there is one."""
    cache = user_cache_path("streamscorer")
    jars = await fetch_locked(other.KAFKA, cache) if program else await fetch_jars(cache)
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="side-by-side-")))
        kafka = await stack.enter_async_context(run_kafka(directory, jars))
        postgres = await stack.enter_async_context(run_postgres(directory, durable=False))
        await asyncio.to_thread(migrate, postgres.url, timeout_s=60)
        servers = kafka.bootstrap_servers
        logs = await stack.enter_async_context(open_logs(servers))
        await foreign.fill(logs)
        mine = await stack.enter_async_context(ours.joined(logs, servers, postgres.url))
        burrow = None
        if program:  # it does not start before Kafka has its topic of offsets, which the first group makes
            burrow = await stack.enter_async_context(run_burrow(program, servers, jars, directory))
            knows = burrow.knows
            await eventually(lambda: knows((*foreign.TOPICS, ours.TOPIC)), "Burrow knows the topics")
        await foreign.make_again(logs, servers)
        theirs = await stack.enter_async_context(foreign.joined(logs, servers))
        settings = {
            "kafka_bootstrap_servers": servers, "kafka_topic": ours.TOPIC, "kafka_group_id": ours.GROUP,
            "kafka_session_timeout_s": ours.SESSION_S,
        }  # fmt: skip
        watches = [await stack.enter_async_context(watching(settings, group)) for group in (ours.GROUP, foreign.GROUP)]

        async def look(stage: str) -> list[Row]:
            said = [await judged(watch, burrow) for watch in watches]
            return [row for one in said for row in await compared(stage, settings, one)]

        async def work() -> None:
            await mine.work()
            await stack.enter_async_context(logs.open_transaction(ours.OPEN, 2))

        await asyncio.gather(work(), theirs.work())
        await asyncio.sleep(SEEN_S)
        rows = await look("at work")
        await asyncio.sleep(SETTLED_S)
        rows += await look("silent")
        await asyncio.gather(mine.kill(), theirs.leave())
        await asyncio.sleep(WINDOW_S)
        return rows + await look("gone")


def main(output: Path | None) -> int:
    program = find_burrow()
    rows = asyncio.run(measure(program))
    sys.stdout.write(f"{table(rows)}\n")
    found = [one for row in rows for one in differences(row)]
    unexplained = [one for one in found if one.reason is None]
    burrow = f"Burrow: {program}" if program else "Burrow is not installed (BURROW names its program): not compared"
    sys.stderr.write(f"{len(rows)} rows, {len(found)} differences, {len(unexplained)} unexplained. {burrow}\n")
    if output is not None:
        each = [{**_plain(row), "differences": [asdict(one) for one in differences(row)]} for row in rows]
        output.write_text(json.dumps(each, indent=1), encoding="utf-8")
    return int(bool(unexplained) or not rows)


def _plain(row: Row) -> dict[str, Any]:
    return {
        "stage": row.stage,
        "group_id": row.group_id,
        "topic": row.place.topic,
        "partition": row.place.partition,
        "what": row.what,
        "status": row.watched,
        "ours": row.ours.model_dump(mode="json") if row.ours else None,
        "kafka": asdict(row.kafka) if row.kafka else None,
        "burrow": asdict(row.burrow) if row.burrow else None,
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
