"""`python -m tests.gameday`: nine faults, for real: was the reason right, and did the alerts fire?"""

import argparse
import asyncio
import json
import logging
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from bench.machine import facts
from embedded.jars import fetch_jars
from settings import LogSettings, Settings
from telemetry import configure_logging
from tests.checkpoints import make_checkpoint
from tests.gameday.day import Results, run_day, say
from tests.gameday.faults import FAULTS
from tests.gameday.prometheus import LACKS, find_prometheus, run_prometheus
from tests.gameday.stage import Day
from tests.gameday.table import PAGE, document, fill, markdown
from tests.system.pictures import pictures
from tests.system.processes import command

_PICTURES = 300
_HEALTHY_S = 600.0
_MEASURING_S = 300.0
_INTERRUPTED = 143


def asked(arguments: Sequence[str]) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.gameday", description=__doc__)
    names = [fault.name for fault in FAULTS]
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(names)}; 'none' for the healthy load alone")
    parser.add_argument("--healthy-s", type=float, default=_HEALTHY_S, help="healthy load; 0 leaves it out")
    parser.add_argument("--lanes", type=int, default=2, help="faults at a time, each on a stage of its own")
    parser.add_argument("--prometheus", metavar="PATH", help="the program, where it is not in PATH")
    parser.add_argument("--out", type=Path, default=Path("build/gameday"), help="where table and observations go")
    parser.add_argument("--write", action="store_true", help="put the table into docs/runbook.md")
    found = parser.parse_args(arguments)
    found.only = names if found.only is None else [name for name in found.only.split(",") if name != "none"]
    if unknown := sorted(set(found.only) - set(names)):
        parser.error(f"no such fault: {', '.join(unknown)}")
    return found


async def engine_settings(directory: Path) -> dict[str, object]:
    """Of the fastest engine here, which is measured before anything else runs."""
    checkpoint = await asyncio.to_thread(make_checkpoint, directory / "checkpoint.pt")
    engine: dict[str, object] = {"weights": str(checkpoint)}
    picture = directory / "picture.jpg"
    picture.write_bytes(next(pictures(1)))
    async with command("predict", str(picture), "--json", settings=engine) as predict:
        code = await predict.end(within_s=_MEASURING_S)
    assert code == 0, "\n".join(predict.stderr)
    answer = json.loads(predict.stdout[-1])
    say(f"engine: {answer['engine']} {answer['precision']}; the weights are random, labels mean nothing")
    return engine


async def run(options: argparse.Namespace, directory: Path, program: str | None) -> Results:
    """Everything that faults share, and then the day."""
    found = Settings()
    jars = await fetch_jars(found.cache_dir, found.maven_mirror)
    images = await asyncio.to_thread(lambda: list(pictures(_PICTURES)))
    engine = await engine_settings(directory)
    async with AsyncExitStack() as stack:
        prometheus = None
        if program is not None:
            prometheus = await stack.enter_async_context(run_prometheus(program, directory / "prometheus"))
        day = Day(directory, jars, images, engine, prometheus)
        faults = [fault for fault in FAULTS if fault.name in options.only]
        return await run_day(day, faults, healthy_s=options.healthy_s, lanes=options.lanes)


def about(options: argparse.Namespace) -> str:
    """What a reader must know to read the figures."""
    machine = facts()
    return (
        "Seconds count from the fault's beginning. A reason is in time within two sample intervals (10 s) after it can "
        "be seen at all, and must stay (of an event that is over, as the trimmed topic, only `/lag` can know). "
        f"{machine['processor']}, {machine['cores']} cores, {options.lanes} faults at a "
        "time; ResNet50 with random weights (labels mean nothing), but for the hot partition and the rebalance loop, "
        "where a cheap engine stands in. Prometheus and rules as delivered."
    )


async def main(options: argparse.Namespace) -> int:
    """Run, write and print the results; the exit code."""
    program = find_prometheus(options.prometheus)
    if program is None and options.prometheus:
        say(f"there is no {options.prometheus}")
        return 2
    configure_logging(LogSettings(log_level="error"))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # our own clients tell of every fault, at length
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    no_alerts = None if program else f"not checked: {LACKS}"
    if no_alerts:
        say(f"alerts are {no_alerts}")
    with tempfile.TemporaryDirectory(prefix="gameday-") as directory:
        try:
            results = await run(options, Path(directory), program)
        except asyncio.CancelledError:
            say("interrupted")
            return _INTERRUPTED
    text = markdown(results, about(options), no_alerts)
    write(options, results, text)
    sys.stdout.write(text)
    return 0 if results.ok else 1


def write(options: argparse.Namespace, results: Results, text: str) -> None:
    """Into files."""
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "gameday.md").write_text(text, encoding="utf-8")
    (options.out / "gameday.json").write_text(json.dumps(document(results), indent=1, default=list), encoding="utf-8")
    if options.write:
        PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(asyncio.run(main(asked(sys.argv[1:]))))
