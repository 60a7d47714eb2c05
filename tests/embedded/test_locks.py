import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from embedded import locks
from embedded.locks import own_directory, take_turns
from errors import CommandFailed, UsageError


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


async def test_the_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    directory = tmp_path / "data of mine"
    async with own_directory(directory):
        with pytest.raises(CommandFailed) as raised:
            async with own_directory(directory):
                pass
    message = str(raised.value)
    assert str(directory) in message
    assert str(os.getpid()) in message
    assert "SCORER_DATA_DIR" in message
    assert "\n" not in message


async def test_an_owner_that_left_leaves_the_directory_free(tmp_path: Path) -> None:
    for _ in range(2):
        async with own_directory(tmp_path):
            pass


@pytest.mark.parametrize("killed", [True, False])
async def test_children_that_an_owner_left_are_waited_for(tmp_path: Path, killed: bool) -> None:
    async with own_directory(tmp_path) as lock:
        child = await asyncio.create_subprocess_exec("sleep", "60", pass_fds=(lock,))
    if killed:
        (tmp_path / "lock").write_text(str(dead_pid()), encoding="ascii")

    async def own() -> None:
        async with own_directory(tmp_path):
            pass

    owning = asyncio.create_task(own())
    done, _ = await asyncio.wait({owning}, timeout=0.3)
    assert not done
    child.terminate()
    await child.wait()
    await asyncio.wait_for(owning, 10)


async def test_children_that_do_not_end_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "DYING_S", 0.2)
    async with own_directory(tmp_path) as lock:
        child = await asyncio.create_subprocess_exec("sleep", "60", pass_fds=(lock,))
    gone = dead_pid()
    (tmp_path / "lock").write_text(str(gone), encoding="ascii")
    try:
        with pytest.raises(CommandFailed, match=f"children of process {gone}"):
            async with own_directory(tmp_path):
                pass
    finally:
        child.terminate()
        await child.wait()


async def test_a_directory_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    with pytest.raises(UsageError, match="cannot be used"):
        async with own_directory(tmp_path / "file" / "data"):
            pass


async def test_turns_are_taken_one_after_the_other(tmp_path: Path) -> None:
    inside = 0

    async def take() -> None:
        nonlocal inside
        async with take_turns(tmp_path / "lock"):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(take() for _ in range(5)))
