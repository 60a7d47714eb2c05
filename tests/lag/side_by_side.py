"""`python -m tests.lag.side_by_side [REPORT.json]`: our figures, Kafka's own and Burrow's on the same groups.

Two groups, one of ours and one that is not, in logs of all kinds; first with their consumers alive, then with nobody.
Burrow takes part where it is installed (see burrow.py). Exit code 1 where a difference has no reason.
"""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from platformdirs import user_cache_path

from broker.samples import Place
from embedded.jars import fetch_jars, fetch_locked
from embedded.kafka import run_kafka
from embedded.postgres import run_postgres
from schemas.lag import LagReport
from store.migrations import migrate
from tests.lag import burrow as other
from tests.lag import foreign, ours
from tests.lag.burrow import Burrow, find_burrow, run_burrow
from tests.lag.comparison import Row, differences, table
from tests.lag.consumer_groups import describe
from tests.lag.logs import open_logs
from tests.system.processes import ROOT, environment
from tests.waiting import eventually

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


async def compared(stage: str, settings: dict[str, Any], watch: Watch, burrow: Burrow | None) -> list[Row]:
    """One group, as all say that it is now."""
    assert watch.latest is not None, "the watch has said nothing"
    group_id = watch.latest.group_id
    servers = str(settings["kafka_bootstrap_servers"])
    figures = {Place(one.topic, one.partition): one for one in (await asked(settings, group_id)).partitions}
    described = await describe(servers, group_id, user_cache_path("streamscorer"))
    judged = await burrow.lag(group_id) if burrow else {}
    watched = {Place(one.topic, one.partition): one.status for one in watch.latest.partitions}
    what, open_records = _GROUPS[group_id]
    return [
        Row(
            stage, group_id, place, what.get(place, ""), open_records.get(place, 0),
            figures.get(place), watched.get(place), described.get(place), judged.get(place), burrow is not None,
        )
        for place in sorted({*figures, *described, *judged})
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
        burrow = await stack.enter_async_context(run_burrow(program, servers, jars, directory)) if program else None
        logs = await stack.enter_async_context(open_logs(servers))
        await foreign.fill(logs)
        mine = await stack.enter_async_context(ours.joined(logs, servers, postgres.url))
        if burrow:
            await eventually(lambda: burrow.knows((*foreign.TOPICS, ours.TOPIC)), "Burrow knows the topics")
        await foreign.make_again(logs, servers)
        theirs = await stack.enter_async_context(foreign.joined(logs, servers))
        settings = {
            "kafka_bootstrap_servers": servers, "kafka_topic": ours.TOPIC, "kafka_group_id": ours.GROUP,
            "kafka_session_timeout_s": ours.SESSION_S,
        }  # fmt: skip
        watches = [await stack.enter_async_context(watching(settings, group)) for group in (ours.GROUP, foreign.GROUP)]
        await asyncio.gather(mine.work(), theirs.work())
        await stack.enter_async_context(logs.open_transaction(ours.OPEN, 2))
        await asyncio.sleep(SETTLED_S)
        rows = [row for watch in watches for row in await compared("alive", settings, watch, burrow)]
        await asyncio.gather(mine.kill(), theirs.leave())
        await asyncio.sleep(WINDOW_S)
        return rows + [row for watch in watches for row in await compared("dead", settings, watch, burrow)]


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
