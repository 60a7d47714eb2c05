"""The table from failures to exit codes, the one line that goes with each, and what stdout holds."""

import signal
import subprocess
import sys

import pytest

from cli.exits import exit_code
from errors import (
    BrokerUnavailable,
    CommandFailed,
    DependencyAway,
    InvalidImage,
    SafetyLimit,
    ScorerError,
    UsageError,
    WeightsUnreachable,
)
from tests.cli.commands import ROOT, command_line, environment, wait_until


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (CommandFailed("x"), 1),
        (InvalidImage("x"), 1),
        (UsageError("x"), 2),
        (SafetyLimit("x"), 3),
        (DependencyAway("x"), 4),
        (WeightsUnreachable("x"), 4),
        (BrokerUnavailable("x"), 4),
    ],
)
def test_each_expected_failure_has_its_code_and_one_line(
    failure: ScorerError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> None:
        raise failure

    assert exit_code(run) == code
    assert capsys.readouterr() == ("", "streamscorer: error: x\n")


def test_a_bug_keeps_its_traceback() -> None:
    def run() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        exit_code(run)


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (3, 3)])
def test_a_command_that_returns_has_its_own_code(result: int | None, code: int) -> None:
    assert exit_code(lambda: result) == code


def test_an_interrupt_is_exit_130() -> None:
    def run() -> None:
        raise KeyboardInterrupt

    assert exit_code(run) == 130


def test_a_reader_that_leaves_early_hears_no_complaint() -> None:
    script = " ".join(f"'{part}'" for part in command_line("openapi"))
    done = subprocess.run(
        ["bash", "-c", f"{script} | true; exit ${{PIPESTATUS[0]}}"],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which signals are handled")
def test_sigterm_ends_a_command_that_has_nothing_to_drain_with_143() -> None:
    waiting = subprocess.Popen(
        command_line("migrate"),
        cwd=ROOT,
        env=environment(database_url="postgresql://me@127.0.0.1:9/db", start_timeout_s=60),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    # A handler of ours is what tells that it has begun: before that the signal itself would end it.
    wait_until(lambda: _catches(waiting.pid, signal.SIGTERM))
    waiting.send_signal(signal.SIGTERM)
    out, err = waiting.communicate(timeout=30)
    assert (waiting.returncode, out) == (143, b"")
    assert b"Traceback" not in err


def _catches(pid: int, number: signal.Signals) -> bool:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:  # noqa: PTH123
        caught = next(line for line in status if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & 1 << (number - 1))
