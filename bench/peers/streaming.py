"""Peers on the stream: rows a second from a backlog in Kafka, and memory, in turns with ours."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from bench.cases import Context, Goal, Result, Skipped
from bench.children import given
from bench.peers.lines import Line, lines, publish
from bench.peers.seats import Seats
from bench.stream import between_commits

GOAL = Goal(at_least=1.0)
_PER_SECOND = 60
"""Records of the backlog for each second of a turn; who is faster works it off sooner."""
_QUICK = 40
_FIRST_S = 60.0
_LOOK_S = 0.25


@dataclass(slots=True)
class Turns:
    """What a line did, one figure a round."""

    rates: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)


async def streaming(context: Context, seats: Seats, only: Sequence[str]) -> AsyncGenerator[Result | Skipped, None]:
    """Each starts anew for its turn, reads the same records, and ends with it."""
    count = _QUICK if context.quick else max(300, int(_PER_SECOND * context.seconds))
    backlog = await publish(context, count)
    done = {line.name: (line, Turns()) for line in lines(seats, backlog, only, given(context.settings))}
    for number in range(context.repetitions):
        for name, (line, turns) in list(done.items())[:: -1 if number % 2 else 1]:
            try:
                await _turn(line, turns, context.seconds)
            except Skipped as reason:
                del done[name]
                yield reason
    for name, (_, turns) in done.items():
        note = seats.versions.get(name, "")
        yield Result(f"{name}, stream", "", "images/s", tuple(turns.rates), note=note)
        yield Result(f"{name}, stream, memory", "", "MB", tuple(turns.memory_mb))
    mine = [(name, turns.rates) for name, (line, turns) in done.items() if line.peer is None]
    theirs = [(name, turns.rates) for name, (line, turns) in done.items() if line.peer is not None]
    for (ours, a), (peer, b) in ((one, other) for one in mine for other in theirs):
        ratios = tuple(one / other for one, other in zip(a, b, strict=True))
        yield Result(f"{ours} / {peer}, stream", "", "ratio", ratios, GOAL)


async def _turn(line: Line, turns: Turns, seconds: float) -> None:
    """From its first row, for `seconds` or until all is done. Raises Skipped when none comes."""
    running = await line.fresh()
    async with running.up() as tree:
        at, begun, first, memory_mb = time.time(), time.monotonic(), 0.0, 0.0
        while True:
            tree.check()
            rows, records = await running.ledger.counts()
            now = time.monotonic()
            memory_mb = max(memory_mb, tree.memory_mb())
            if rows and not first:
                first = now
            if records >= len(line.backlog.images) or (first and now - first > seconds):
                break
            if not first and now - begun > _FIRST_S:
                raise Skipped(f"{line.name} had no row after {_FIRST_S:g} s")
            await asyncio.sleep(_LOOK_S)
    times = await running.ledger.times()
    # In a single commit: the smoke.
    turns.rates.append(between_commits(list(times)) or rows / (times[-1][0] - at))
    turns.memory_mb.append(memory_mb)
