"""Runs the chosen cases, each for each engine, and hands over every result as soon as it is known."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.calibrated import calibrated
from bench.cases import Case, Context, Options, Result, Run, Skipped
from bench.others import look, share
from bench.workload import Workload
from settings import Settings


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row of the report: a result, or why there is none; and at the end of a case what others took meanwhile."""

    case: str
    result: Result | None = None
    skipped: str | None = None
    others: float | None = None
    """Share of the machine."""


async def measure(
    cases: Sequence[Case], engines: Sequence[Settings], options: Options
) -> AsyncGenerator[Outcome, None]:
    """`engines`: the settings of each engine, at least one. What is started here ends here, however it ends."""
    place = engines[0].data_dir / "bench"
    place.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=place, prefix="run-", ignore_cleanup_errors=True) as directory:
        async with Run(engines[0], options, Path(directory)) as run:
            for case in cases:
                for settings in engines if case.by_engine else engines[:1]:
                    async with aclosing(_outcomes(case, run, settings)) as outcomes:
                        async for outcome in outcomes:
                            yield outcome


async def _outcomes(case: Case, run: Run, settings: Settings) -> AsyncGenerator[Outcome, None]:
    before = look()
    try:
        images = Workload(settings.cache_dir / "bench", run.options.seed)
        usable = await calibrated(settings, images, run.directory) if case.by_engine else settings
        async with Context(run, usable) as context, aclosing(case.run(context)) as results:
            async for result in results:
                if isinstance(result, Skipped):
                    yield Outcome(case.name, skipped=str(result))
                else:
                    yield Outcome(case.name, result)
    except Skipped as reason:
        yield Outcome(case.name, skipped=str(reason))
    else:
        yield Outcome(case.name, others=share(before, look()))
