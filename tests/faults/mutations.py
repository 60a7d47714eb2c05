"""`python -m tests.faults.mutations`: lines that matter are broken on purpose, and the judge must find each.

Each mutation runs in a copy of the tree, under the fault that should bring it to light. Prints a table.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedded.jars import fetch_jars
from settings import LogSettings, Settings
from telemetry import configure_logging
from tests.faults.generator import Ingredients, Plan, bad_records
from tests.faults.ground import Ground, standing
from tests.faults.injections import store
from tests.faults.pool import Picture, make_pool, offline_answers
from tests.faults.trial import Outcome, Setup, Trial, trial
from tests.system.processes import ROOT
from tests.waiting import eventually

SEED = 20
PICTURES = 40
PER_S = 40.0
_NO_LETTERS_S = 5.0
_ROOMS = (
    "settings",
    "schemas",
    "inference",
    "store",
    "broker",
    "sources",
    "consumer",
    "api",
    "monitor",
    "embedded",
    "cli",
)
_MODULES = ("errors.py", "telemetry.py")

Strike = Callable[[Trial], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Mutation:
    """One change of one place, and the fault under which it must show."""

    name: str
    file: str
    old: str
    new: str
    fault: str
    strike: Strike

    def plant(self, root: Path) -> None:
        """Change the file below `root`. AssertionError unless the old text stands in it exactly once."""
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        found = text.count(self.old)
        assert found == 1, f"{self.name}: the text to be changed stands {found} times in {self.file}"
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


async def _kill_before_write(running: Trial) -> None:
    fleet = running.world.fleet
    (member,) = await fleet.working()
    await fleet.trapped("kill:before-write:3", member)


async def _cut_after_commit(running: Trial) -> None:
    await running.world.fleet.working()
    line = running.world.ground.database_line
    line.cut_at(store.COMMIT, deliver=True, times=3)
    await eventually(lambda: line.cuts >= 3, "commits were cut", within_s=60)


async def _fill_disk(running: Trial) -> None:
    await running.world.fleet.working()
    await store.disk_full(running.world)


async def _lose_letters(running: Trial) -> None:
    fleet = running.world.fleet
    (member,) = await fleet.working()
    lines = running.world.ground.broker_lines.values()
    for line in lines:
        line.cut_at(running.world.where.dlq_topic.encode(), deliver=False, times=1 << 30)
    await running.publish_bad(10)
    # Whoever goes on without its dead letters writes their rows meanwhile.
    await asyncio.sleep(_NO_LETTERS_S)
    fleet.kill(member)
    await fleet.ended(member)
    for line in lines:
        line.heal()


MUTATIONS = (
    Mutation(
        "commit before write",
        "consumer/worker.py",
        "            await self._hops.settle(batch)\n",
        "            for item in batch.items:\n"
        "                item.lane.decide(item.record.at.offset)\n"
        "            await self._commits.commit()\n"
        "            await self._hops.settle(batch)\n",
        "consumer killed before its write",
        _kill_before_write,
    ),
    Mutation(
        "upsert instead of skip",
        "store/queries.py",
        "  WHERE {_DECISION} IS NULL\n  ON CONFLICT DO NOTHING\n",
        "  ON CONFLICT (source, event_id, model_version) DO UPDATE\n"
        "  SET scored_at = now(), kafka_partition = excluded.kafka_partition, kafka_offset = excluded.kafka_offset\n",
        "cut in the middle of COMMIT, outcome unknown",
        _cut_after_commit,
    ),
    Mutation(
        "no pause: a failed write drops its batch",
        "consumer/hops.py",
        "        written = await self._waits.until_works(\n"
        '            "store", lambda: self._parts.store.write(scores, dead_letters, model_version=version)\n'
        "        )\n",
        "        try:\n"
        "            written = await self._parts.store.write(scores, dead_letters, model_version=version)\n"
        "        except Exception:\n"
        "            for item in items:\n"
        '                item.outcome = "scored" if item.refusal is None else "dead_lettered"\n'
        "            return\n",
        "disk full",
        _fill_disk,
    ),
    Mutation(
        "dead letters not awaited",
        "consumer/hops.py",
        "                    sends.create_task(self._publish_dead_letter(item, item.refusal))\n",
        "                    asyncio.get_running_loop().create_task(self._publish_dead_letter(item, item.refusal))\n",
        "lines to the DLQ topic cut, then the consumer killed",
        _lose_letters,
    ),
)


def copy_tree(to: Path) -> Path:
    """The rooms and the tests, without caches."""
    for name in (*_ROOMS, "tests"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _MODULES:
        shutil.copy(ROOT / name, to / name)
    return to


async def outcome_of(
    ground: Ground,
    pool: Sequence[Picture],
    name: str,
    root: Path | None,
    strikes: Sequence[Callable[[Trial], Awaitable[None]]],
) -> Outcome:
    """One consumer from the tree at `root` under these faults, and what the judge says."""
    plan = Plan(SEED, Ingredients(pool, bad_records(), source=f"/{name}"))
    setup = Setup(name, plan, offline_answers(pool), SEED, members=1, partitions=3, root=root)
    async with trial(ground, setup) as running:
        async with running.feeding(PER_S):
            for strike in strikes:
                await strike(running)
                await running.world.fleet.working()
        return await running.finish()


async def outcome_of_mutation(ground: Ground, pool: Sequence[Picture], mutation: Mutation, folder: Path) -> Outcome:
    """What the judge says about a copy of the tree with this mutation in it, made in `folder`."""
    root = await asyncio.to_thread(copy_tree, folder)
    mutation.plant(root)
    name = f"mutation-{MUTATIONS.index(mutation)}"
    return await outcome_of(ground, pool, name, root, [mutation.strike])


async def outcome_without(ground: Ground, pool: Sequence[Picture]) -> Outcome:
    """What the judge says about the tree as it is, under all of these faults."""
    return await outcome_of(ground, pool, "unbroken", None, [mutation.strike for mutation in MUTATIONS])


def found_as(outcome: Outcome) -> str:
    """The findings, counted, and the first one in words."""
    findings = {kind: found for kind, found in outcome.verdict.findings().items() if found}
    if not findings:
        return "nothing"
    counts = ", ".join(f"{len(found)} {kind}" for kind, found in findings.items())
    first = next(iter(findings.values()))[0]
    return f"{counts}; first {first}"


async def main() -> int:
    """Print the table; 1 where a mutation was not found, or something was found without one."""
    configure_logging(LogSettings(log_level="error"))
    settings = Settings()
    jars = await fetch_jars(settings.cache_dir, settings.maven_mirror)
    pool = make_pool(PICTURES, SEED)
    rows, good = [], True
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        async with standing(Path(folder) / "ground", jars, nodes=1, pool=pool) as ground:
            for number, mutation in enumerate(MUTATIONS):
                outcome = await outcome_of_mutation(ground, pool, mutation, Path(folder) / str(number))
                good = good and not outcome.verdict.ok
                rows.append((mutation.name, mutation.fault, found_as(outcome)))
            unbroken = await outcome_without(ground, pool)
            good = good and unbroken.ok
            rows.append(("none", "all of these", found_as(unbroken)))
    for row in (("mutation", "fault", "found as"), ("---", "---", "---"), *rows):
        sys.stdout.write(f"| {' | '.join(row)} |\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
