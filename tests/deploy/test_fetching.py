"""A machine that cannot have promtool is not kept waiting for it, and the run of the tests goes on."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.files import ROOT


@pytest.mark.skipif(shutil.which("promtool") is not None, reason="promtool is installed: nothing is fetched")
def test_without_the_network_promtool_is_missed_in_one_line_and_not_asked_for_again_that_day(tmp_path: Path) -> None:
    into, fails = tmp_path / "bin", tmp_path / "apt"
    into.mkdir()
    fails.mkdir()
    (fails / "apt-get").write_text("#!/bin/sh\necho 'E: Failed to fetch it: no network'\nexit 100\n")
    (fails / "apt-get").chmod(0o755)

    def fetch() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["sh", ROOT / "tests/deploy/fetch_promtool.sh", into],
            env={"PATH": f"{fails}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)},
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip

    (said,) = fetch().stderr.splitlines()
    assert "no network" in said
    assert fetch().stderr == ""
    assert not (into / "promtool").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"apt", "bin"}
