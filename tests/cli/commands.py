"""`streamscorer` as a process of its own, as a user starts it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def command_line(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "cli.main", *(str(argument) for argument in arguments)]


def environment(**settings: object) -> dict[str, str]:
    """The environment with `settings` as SCORER_ variables; modules are found from any working directory."""
    ours = {f"SCORER_{name.upper()}": str(value) for name, value in settings.items()}
    return {**os.environ, "PYTHONPATH": str(ROOT), "SCORER_THREADS": "1", **ours}


def run(*arguments: object, cwd: Path | None = None, **settings: object) -> Done:
    """Run the command to its end, without a terminal."""
    done = subprocess.run(
        command_line(*arguments),
        cwd=cwd or ROOT,
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def wait_until(condition: Callable[[], object], *, within_s: float = 60.0) -> None:
    """Returns once `condition()` holds; fails after the deadline."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.01)
