"""`bench`: measure this machine."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.exits import FAILED, INTERRUPTED, say, say_warning
from cli.lifecycle import run_until_signal, starting
from cli.options import with_settings
from cli.output import Table, line
from errors import UsageError
from settings import Settings

if TYPE_CHECKING:
    from bench.cases import Case, Options
    from bench.run import Outcome

_ENGINES: Final = ("auto", "torch", "openvino")
_PRECISIONS: Final = ("auto", "fp32", "bf16", "fp16", "int8")
_SMOKE_SECONDS: Final = 1.0


@with_settings(
    "weights", "preprocessing", "device", "threads", "max_batch", "decode", "cache_entries", "memory_budget_mb",
    "kafka_bootstrap_servers", "database_url", "data_dir", "cache_dir", "maven_mirror",
)  # fmt: skip
def bench(
    settings: Settings,
    case: Annotated[
        list[str] | None, typer.Argument(metavar="CASE...", help="What to measure.", show_default=False)
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(metavar="ENGINE:PRECISION,...", help="Measure these one after the other (default: what is set)."),
    ] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="Rounds of each side.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="About how long a round takes.")] = 10.0,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long memory is watched.")] = 1.0,
    images: Annotated[Path | None, typer.Option(help="A folder of pictures, instead of generated ones.")] = None,
    seed: Annotated[int, typer.Option(help="Of the generated pictures.")] = 1,
    json: Annotated[Path | None, typer.Option("--json", help="Write everything to this file.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="Say what got worse since this baseline (default: the project's own).")
    ] = None,
    keep: Annotated[Path | None, typer.Option(help="Write the ratios as a baseline to this file.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A smoke: does it work? Its figures mean nothing.")] = False,
) -> int:
    """Measure this machine: every figure as a ratio of two sides that take turns.

    Kafka and PostgreSQL are embedded where no setting names them. The weights are untrained unless SCORER_WEIGHTS is
    set: speed does not depend on them. Exit 1 when something got worse than the baseline.
    """
    from bench.cases import Options
    from bench.catalogue import chosen

    if "weights" not in settings.model_fields_set:
        settings = settings.model_copy(update={"weights": "untrained"})
    if quick:
        repetitions, seconds = 1, _SMOKE_SECONDS
    options = Options(repetitions, seconds, minutes, quick, seed, images)
    cases, engines = chosen(case or []), engines_of(settings, engine)
    outcomes: list[Outcome] = []
    code = run_until_signal(lambda stop: _bench(cases, engines, options, outcomes, stop))
    if json is not None:
        _write(json, outcomes, options, settings, complete=code == 0)
    return code or _compare(outcomes, against, keep, quick=quick)


async def _bench(
    cases: "list[Case]", engines: list[Settings], options: "Options", outcomes: "list[Outcome]", stop: asyncio.Event
) -> int:
    """Print each row as it comes. INTERRUPTED after a signal: then all that was started has ended as well."""
    from bench.machine import cuda_device
    from bench.others import TRUSTED
    from bench.report import COLUMNS, cells
    from bench.run import measure

    cuda = cuda_device()
    say(f"CUDA: {cuda}; SCORER_DEVICE=cuda measures it" if cuda else "no CUDA device: not measured")
    table = Table(*COLUMNS)
    try:
        async with starting(stop), aclosing(measure(cases, engines, options)) as measured:
            async for outcome in measured:
                outcomes.append(outcome)
                if outcome.result or outcome.skipped:
                    table.row(*cells(outcome))
                elif outcome.others is not None and outcome.others > TRUSTED:
                    say_warning(f"{outcome.case}: others took {outcome.others:.0%} of the machine; measure again")
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        return INTERRUPTED
    return 0


def engines_of(settings: Settings, wanted: str | None) -> list[Settings]:
    """The settings of each engine. Raises UsageError."""
    if wanted is None:
        return [settings]
    found = []
    for text in wanted.split(","):
        engine, _, precision = text.strip().partition(":")
        if engine not in _ENGINES or (precision or "auto") not in _PRECISIONS:
            allowed = f"one of {', '.join(_ENGINES)}, and behind a colon one of {', '.join(_PRECISIONS)}"
            raise UsageError(f"--engine {wanted}: cannot read {text!r}: {allowed}")
        found.append(settings.model_copy(update={"engine": engine, "precision": precision or "auto"}))
    return found


def _write(path: Path, outcomes: "list[Outcome]", options: "Options", settings: Settings, *, complete: bool) -> None:
    from pydantic_core import to_json

    from bench.report import as_json

    path.write_bytes(to_json(as_json(outcomes, options, settings.weights, complete=complete), indent=2) + b"\n")
    say(f"{path}: written")


def _compare(outcomes: "list[Outcome]", against: Path | None, keep: Path | None, *, quick: bool) -> int:
    """What got worse, a line each, on stdout; FAILED then. The smoke's figures are not compared."""
    from bench import baseline

    results = [outcome.result for outcome in outcomes if outcome.result is not None]
    if keep is not None:
        say(f"{keep}: {baseline.keep(keep, results)} ratios")
    if quick or (against is None and not baseline.BASELINE.exists()):
        return 0
    found = baseline.worse(results, baseline.read(against or baseline.BASELINE))
    for sentence in found:
        line(f"worse than the baseline: {sentence}")
    if found:
        say_warning(f"{len(found)} of {len(results)} figures got worse")
    return FAILED if found else 0
