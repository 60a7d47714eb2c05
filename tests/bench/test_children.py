"""Processes that are measured."""

import asyncio
from pathlib import Path

import pytest

from bench.children import Child, start
from bench.skipped import Skipped
from errors import CommandFailed
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def _lines_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")


def state(child: Child) -> str:
    """R, S, T (stopped), Z, or nothing when it is gone."""
    try:
        return Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


async def test_it_holds_still_when_told_and_goes_on_afterwards(tmp_path: Path) -> None:
    async with start("http.server", ["0"], {}, tmp_path) as child:
        await child.line("Serving")
        child.pause()
        await eventually(lambda: state(child) == "T")
        child.resume()
        await eventually(lambda: state(child) in "RS")
        assert child.cpu_s() > 0
        assert (child.resident_mib() or 0) > 1
    assert state(child) == ""


async def test_nothing_is_left_behind_when_a_case_is_cancelled_while_a_child_holds_still(tmp_path: Path) -> None:
    children: list[Child] = []

    async def case() -> None:
        async with start("http.server", ["0"], {}, tmp_path) as child:
            await child.line("Serving")
            child.pause()
            children.append(child)
            await asyncio.Event().wait()

    running = asyncio.create_task(case())
    await eventually(lambda: children)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert state(children[0]) == ""


async def test_one_that_ends_by_itself_says_why(tmp_path: Path) -> None:
    async with start("bench.no_such_module", [], {}, tmp_path) as child:
        with pytest.raises(CommandFailed, match=r"(?s)ended with exit code 1.*No module named"):
            await child.line("Serving")


async def test_one_that_cannot_run_with_these_settings_is_skipped_and_says_why(tmp_path: Path) -> None:
    async with start("cli.main", ["bench"], {"top_k": 0}, tmp_path) as child:
        with pytest.raises(Skipped, match="SCORER_TOP_K=0"):
            await child.line("http://")
