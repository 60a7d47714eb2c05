"""Layer cost of the stream: from a record in Kafka to a committed row, against the bare loop."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from bench.bare import Bare
from bench.cases import Case, Context, Goal, Result, Skipped
from bench.children import Child
from bench.ground import Ground, query
from bench.rounds import compare

GOALS = {"fp32": Goal(at_least=0.97), "int8": Goal(at_least=0.93)}
_LOOK_S = 0.25


async def run(context: Context) -> AsyncGenerator[Result | Skipped, None]:
    """The consumer holds still while its records are published and while the bare loop has its turn."""
    ground = await context.ground()
    room = await ground.room()
    child, bare = await context.beside_bare("consumer", settings={**room, "health_port": 0})
    await child.line("http://")
    child.pause()
    images = await bare.how_many(context.seconds, quick=context.quick)
    ours = Stream(context, ground, room, child, images)

    async def floor(_: int) -> float:
        return await bare.rate(images)

    ratio = await compare(ours.rate, floor, context.repetitions, warm_up=not context.quick)
    goal = GOALS.get(bare.engine.split()[1])
    raw = ratio.raw("stream", "bare loop") | {"commits": tuple(ours.commits[-context.repetitions :])}
    yield Result("stream / bare loop", bare.engine, "ratio", ratio.ratios, goal, raw=raw)
    yield cpu_ratio("stream", bare, ours.cpu_us, context.repetitions)
    yield Result("stream", bare.engine, "images/s", ratio.a, note=f"{images} images a round")
    yield Result("bare loop", bare.engine, "images/s", ratio.b, note=f"batches of {bare.batch}")
    yield Result("bare loop, serial", bare.engine, "images/s", (await bare.rate(images, "serial"),))


class Stream:
    """A backlog that a consumer works off."""

    def __init__(self, context: Context, ground: Ground, room: dict[str, Any], child: Child, images: int) -> None:
        self._images = images
        self._workload = context.images
        self._ground = ground
        self._room = room
        self._child = child
        self.commits: list[float] = []
        """Transactions of each round: few of them make its rate uncertain."""
        self.cpu_us: list[float] = []
        """CPU time of the consumer for an image, microseconds, each round."""

    async def rate(self, number: int) -> float:
        """Images a second from the first committed row to the last."""
        source = f"/bench/round-{number}"
        images = await asyncio.to_thread(self._workload.take, self._images)
        await self._ground.publish(self._room["kafka_topic"], images, source)
        before, begun = self._child.cpu_s(), time.time()
        self._child.resume()
        while await committed(self._room["database_url"], source) < len(images):
            self._child.check()
            await asyncio.sleep(_LOOK_S)
        self._child.pause()
        self.cpu_us.append(1e6 * (self._child.cpu_s() - before) / len(images))
        commits = await query(
            self._room["database_url"],
            "SELECT extract(epoch FROM scored_at)::float8 AS at, count(*) FROM scores WHERE source = %s "
            "GROUP BY 1 ORDER BY 1",
            source,
        )
        self.commits.append(len(commits))
        return between_commits(commits) or len(images) / (commits[-1][0] - begun)


def cpu_ratio(what: str, bare: Bare, cpu_us: Sequence[float], rounds: int) -> Result:
    """What an image costs the bare loop over what it costs us: others' work on the machine hardly touches it."""
    theirs, ours = tuple(bare.cpu_us[-rounds:]), tuple(cpu_us[-rounds:])
    ratios = tuple(one / other for one, other in zip(theirs, ours, strict=True))
    raw = {f"{what}, us": ours, "bare loop, us": theirs}
    return Result(f"CPU an image, bare loop / {what}", bare.engine, "ratio", ratios, note="our process only", raw=raw)


def between_commits(commits: list[tuple[Any, ...]]) -> float | None:
    """Rows a second between the first commit and the last, from (time, rows) of each; None where there is only one."""
    if len(commits) < 2:
        return None
    return float(sum(rows for _, rows in commits[1:]) / (commits[-1][0] - commits[0][0]))


async def committed(url: str, source: str) -> int:
    ((rows,),) = await query(url, "SELECT count(*) FROM scores WHERE source = %s", source)
    return int(rows)


CASE = Case("stream", "Kafka to committed row, against decode and forward pass in a bare loop", run)
