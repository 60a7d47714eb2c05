"""What consumers lose and what they write twice when they are killed with -9 in mid-flight and started again."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence

from bench.cases import Context, Goal, Result, Skipped
from bench.children import given
from bench.peers.lines import Line, Running, lines, publish
from bench.peers.processes import Tree
from bench.peers.seats import Seats

NOTHING = Goal(at_most=0)
_RECORDS, _KILLS = 240, 3
_QUICK = 40, 1
_FIRST_S, _QUIET_S = 120.0, 45.0
"""Nothing comes: longer than a start and the ten seconds for which the group waits for a dead member. Nothing more
comes: longer than any batch."""
_LOOK_S = 0.05


async def crashes(context: Context, seats: Seats, only: Sequence[str]) -> AsyncGenerator[Result | Skipped, None]:
    """One after the other; the first of ours stands for all engines."""
    records, kills = _QUICK if context.quick else (_RECORDS, _KILLS)
    backlog = await publish(context, records)
    ours, *others = lines(seats, backlog, only, given(context.settings))
    for line in (ours, *(other for other in others if other.peer is not None)):
        try:
            lost, doubled, died = await _judge(line, records, kills)
        except Skipped as reason:
            yield reason
            continue
        goal = NOTHING if line is ours else None
        note = f"of {records}, killed {died} times"
        yield Result(f"{line.name}, lost", "", "images", (lost,), goal, note=note)
        yield Result(f"{line.name}, doubled", "", "images", (doubled,), goal, note=note)


async def _judge(line: Line, records: int, kills: int) -> tuple[int, int, int]:
    """Records without a row, rows beyond one a record, and how often it was killed."""
    running = await line.fresh()
    died = 0
    for death in range(1, kills + 1):
        async with running.up() as tree:
            if not await _reaches(running, tree, records * death // (kills + 1)):
                break
            await tree.kill()
            died += 1
    async with running.up() as tree:
        await _reaches(running, tree, records)
    rows, distinct = await running.ledger.counts()
    return records - distinct, rows - distinct, died


async def _reaches(running: Running, tree: Tree, records: int) -> bool:
    """Wait for rows of so many records; False when nothing more comes."""
    had: int | None = None
    since, patience_s = time.monotonic(), _FIRST_S
    while True:
        tree.check()
        _, distinct = await running.ledger.counts()
        if distinct >= records:
            return True
        if had is None:
            had = distinct
        elif distinct != had:
            had, since, patience_s = distinct, time.monotonic(), _QUIET_S
        elif time.monotonic() - since > patience_s:
            return False
        await asyncio.sleep(_LOOK_S)
