"""What a command loads: help and settings nothing heavy. Seconds of every call hang on it."""

import json
import subprocess
import sys

from cli.main import COMMANDS, DLQ, OFFSETS, TOPICS
from tests.cli.commands import ROOT, environment

HEAVY = [
    "PIL",
    "aiokafka",
    "alembic",
    "embedded",
    "fastapi",
    "httpx",
    "inference.core",
    "numpy",
    "obstore",
    "opentelemetry",
    "openvino",
    "polars",
    "prometheus_client",
    "psycopg",
    "rich.progress",
    "sqlalchemy",
    "structlog",
    "torch",
    "torchvision",
    "uvicorn",
    "uvloop",
]
RUN = """
import contextlib, io, json, sys
from cli.main import main
for arguments in json.loads(sys.argv[1]):
    try:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            main(arguments)
    except SystemExit as end:
        assert not end.code, (arguments, end.code)
    assert out.getvalue(), arguments
print(json.dumps(list(sys.modules)))
"""


def loaded(*commands: list[str], **settings: object) -> set[str]:
    """The modules of a process that has run `commands`, one after the other."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(commands)],
        cwd=ROOT, env=environment(**settings), capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_help_and_settings_load_nothing_heavy() -> None:
    names = [[], *([name] for name in COMMANDS), ["topics"], ["offsets"], ["dlq"]]
    names += [["topics", name] for name in TOPICS] + [["dlq", name] for name in DLQ]
    names += [["offsets", name] for name in OFFSETS]
    modules = loaded(*([*name, "--help"] for name in names), ["settings"])
    assert {"cli.dlq_resolve", "cli.offsets", "cli.pause"} <= modules
    assert not modules.intersection(HEAVY)
