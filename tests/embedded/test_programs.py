"""Programs end with us and only through us; both ways of guarding keep the same promises."""

import asyncio
import os
import sys
import textwrap
from pathlib import Path
from signal import Signals

import pytest

from embedded import guards, programs
from embedded.programs import Program, ready, run_to_end, running
from errors import CommandFailed, DependencyAway
from tests.embedded.processes import is_alive
from tests.waiting import eventually

STUBBORN = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("ready").write_text(str(__import__("os").getpid()))
time.sleep(60)
"""
ORDERLY = """
import os, pathlib, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # a signal between two lines waits for `sigwait`
pathlib.Path("ready").write_text(str(os.getpid()))
signal.sigwait([signal.SIGTERM])
sys.exit(7)
"""


@pytest.fixture(params=["setpriv", "supervisor"])
def guarded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "supervisor":
        monkeypatch.setattr(guards, "has_setpriv", lambda: False)
    elif not guards.has_setpriv():
        pytest.skip("no setpriv that can set the parent-death signal")
    return str(request.param)


def program(directory: Path, code: str, **options: object) -> Program:
    settings = {"name": "Thing", "command": (sys.executable, "-c", code), "directory": directory}
    return Program(**{**settings, "log": directory / "thing.log", **options})  # type: ignore[arg-type]  # options differ


def pid_in(directory: Path) -> int:
    return int((directory / "ready").read_text(encoding="ascii"))


async def started(directory: Path) -> int:
    await eventually(
        lambda: (directory / "ready").exists() and (directory / "ready").read_text() != "", "the program is ready"
    )
    return pid_in(directory)


async def test_a_program_runs_in_a_session_of_its_own_and_is_stopped_in_order(tmp_path: Path, guarded: str) -> None:
    async with running(program(tmp_path, ORDERLY)) as child:
        pid = await started(tmp_path)
        assert os.getsid(pid) == child.pid != os.getsid(0)
    assert await child.ended() == 7
    assert not is_alive(pid)


async def test_a_program_that_will_not_stop_is_killed(
    tmp_path: Path, guarded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "GRACE_S", 0.2)
    async with running(program(tmp_path, STUBBORN)):
        pid = await started(tmp_path)
    await eventually(lambda: not is_alive(pid), "the program is gone")


async def test_an_interrupted_stop_does_not_wait(tmp_path: Path, guarded: str) -> None:
    async def run() -> None:
        async with running(program(tmp_path, STUBBORN, death_signal=Signals.SIGKILL)):
            await asyncio.sleep(60)

    task = asyncio.create_task(run())
    pid = await started(tmp_path)
    task.cancel()
    await asyncio.sleep(0.1)  # it now waits for the stubborn program
    assert is_alive(pid)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    await eventually(lambda: not is_alive(pid), "the program is gone")


async def test_a_failure_shows_the_exit_code_and_the_end_of_the_log(tmp_path: Path, guarded: str) -> None:
    code = "import sys; print('\\n'.join(f'line {n}' for n in range(100))); sys.exit(7)"
    with pytest.raises(CommandFailed) as raised:
        await run_to_end(program(tmp_path, code))
    message = str(raised.value)
    assert "Thing ended with exit code 7" in message
    assert str(tmp_path / "thing.log") in message
    assert "line 99" in message
    assert "line 10\n" not in message


async def test_waiting_for_a_program_ends_when_it_ends_or_takes_too_long(tmp_path: Path, guarded: str) -> None:
    async with running(program(tmp_path, "print('no')")) as child:
        with pytest.raises(CommandFailed, match="exit code 0"):
            await ready(child, asyncio.sleep(60), 30)
    async with running(program(tmp_path, ORDERLY)) as child:
        with pytest.raises(DependencyAway, match=r"not ready after 0\.1 s"):
            await ready(child, asyncio.sleep(60), 0.1)


async def test_a_missing_program_is_named(tmp_path: Path, guarded: str) -> None:
    with pytest.raises(CommandFailed, match="no-such-program"):
        await run_to_end(program(tmp_path, "", command=("no-such-program",)))


async def test_input_and_open_files_reach_the_program(tmp_path: Path, guarded: str) -> None:
    (tmp_path / "input").write_text("hello", encoding="ascii")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        code = f"import os, sys; print(sys.stdin.read(), sorted(os.listdir({descriptor})))"
        await run_to_end(program(tmp_path, code, standard_input=tmp_path / "input", descriptors=(descriptor,)))
    finally:
        os.close(descriptor)
    assert (tmp_path / "thing.log").read_text(encoding="ascii") == "hello ['input', 'thing.log']\n"


async def test_the_log_of_the_run_before_is_kept(tmp_path: Path) -> None:
    for word in ("first", "second", "third"):
        await run_to_end(program(tmp_path, f"print({word!r})"))
    assert (tmp_path / "thing.log").read_text(encoding="ascii") == "third\n"
    assert (tmp_path / "thing.previous.log").read_text(encoding="ascii") == "second\n"


async def test_programs_die_with_a_killed_owner(tmp_path: Path, guarded: str) -> None:
    owner = textwrap.dedent("""
        import asyncio, pathlib, sys
        from embedded import guards
        from embedded.programs import Program, running
        directory, guarded, code = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
        if guarded == "supervisor":
            guards.has_setpriv = lambda: False
        async def main():
            async with running(Program("Thing", (sys.executable, "-c", code), directory, directory / "thing.log")):
                await asyncio.sleep(60)
        asyncio.run(main())
    """)
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", owner, str(tmp_path), guarded, STUBBORN)
    pid = await started(tmp_path)
    killed.kill()
    await killed.wait()
    await eventually(lambda: not is_alive(pid), "the program is gone")
