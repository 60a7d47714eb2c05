"""Runs one case by itself, for `python -m bench.CASE`: each row as soon as it is known, all as JSON in the end."""

import asyncio
import json
import signal
from pathlib import Path

from bench.cases import Case, Options
from bench.report import as_json, cells
from bench.run import Outcome, measure
from settings import Settings, load
from telemetry import configure_logging


def run_alone(case: Case, options: Options, output: Path | None) -> None:
    """`output`: the file that gets the JSON. Blocks until all is measured."""
    settings = load()
    if "weights" not in settings.model_fields_set:
        settings = settings.model_copy(update={"weights": "untrained"})
    configure_logging(settings.model_copy(update={"log_level": "warning"}))
    outcomes = asyncio.run(_measure(case, settings, options))
    if output:
        output.write_text(json.dumps(as_json(outcomes, options, settings.weights), indent=1), encoding="utf-8")


async def _measure(case: Case, settings: Settings, options: Options) -> list[Outcome]:
    outcomes: list[Outcome] = []
    task = asyncio.current_task()
    assert task is not None
    # Ended from outside, it still ends what it has started.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async for outcome in measure([case], [settings], options):
        outcomes.append(outcome)
        if outcome.others is not None:
            print(f"others took {outcome.others:.0%} of the machine", flush=True)
        if outcome.result is None and outcome.skipped is None:
            continue
        _, what, *rest = cells(outcome)
        note = outcome.result.note if outcome.result else ""
        print(f"{what:<44} {' '.join(f'{cell:>10}' for cell in rest)}  {note}".rstrip(), flush=True)
    return outcomes
