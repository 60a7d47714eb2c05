"""OpenVINO and NNCF come in quietly, and tell nobody."""

import subprocess
import sys
from pathlib import Path

from tests.cli.commands import ROOT, environment

SCRIPT = """
import sys
from inference.openvino_runtime import nncf, openvino
openvino(), nncf()
assert sys.modules["openvino_telemetry"] is None
"""


def test_they_leave_no_trace_in_the_users_home(tmp_path: Path) -> None:
    # Their telemetry keeps its files in ~/intel.
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env={**environment(), "HOME": str(tmp_path)}, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
