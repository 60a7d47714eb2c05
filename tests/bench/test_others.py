"""What others took of the machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.others import Clock, look, share

WORK = "sum(range(20_000_000)); print(); input()"


@pytest.mark.parametrize("ended", [True, False])
def test_our_own_children_are_not_others(ended: bool) -> None:
    before = look()
    with subprocess.Popen([sys.executable, "-uc", WORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        after = look()
        child.communicate(b"\n")
    after = look() if ended else after
    assert before is not None
    assert after is not None
    assert (after.ours - before.ours) / os.sysconf("SC_CLK_TCK") > 0.1


def test_the_share_is_of_all_processors() -> None:
    assert share(Clock(1000, 100, 50), Clock(3000, 1100, 550)) == 0.25
    assert share(Clock(1000, 100, 50), Clock(3000, 1100, 1050)) == 0.0


def test_a_system_that_does_not_tell_gives_no_share(tmp_path: Path) -> None:
    assert look(tmp_path) is None
    assert share(None, look()) is None
