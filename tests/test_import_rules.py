"""Which room may import which: the table of the design, kept by reading every import of every module."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

EVERYBODY = frozenset({"errors", "telemetry", "settings", "tracing"})
MAY_IMPORT = {
    "schemas": "",
    "inference": "schemas",
    "store": "schemas",
    "broker": "schemas",
    "sources": "schemas",
    "consumer": "schemas inference store broker sources",
    "api": "schemas inference store broker sources monitor",
    "monitor": "schemas broker",
    "tracing": "",
    "embedded": "",
    "bench": "schemas inference store broker sources consumer api monitor embedded",
    "cli": "schemas inference store broker sources consumer api monitor embedded bench",
}
ROOMS = frozenset(MAY_IMPORT)
# What everybody may import has an order of its own; `tracing` may import all of it, as any room.
BELOW = {"errors": frozenset[str](), "settings": frozenset({"errors"}), "telemetry": frozenset({"errors", "settings"})}
ONLY_IN = {  # rooms, or single files
    "torch": {"inference"},
    "torchvision": {"inference/vision.py"},
    "openvino": {"inference"},
    "nncf": {"inference"},
    "psycopg": {"store", "bench"},
    "psycopg_pool": {"store"},
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "aiokafka": {"broker", "consumer", "embedded", "bench"},
    "fastapi": {"api", "cli"},
    "starlette": {"api", "cli"},
    "httpcore": {"sources"},
    "obstore": {"sources"},
    "opentelemetry": {"tracing"},
}
APART = {"tests", "docs", "deploy", "samples", "build"}


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, top-level name) of each import in the file, at any depth; an import by name as a string counts too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, str(node.module).partition(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "importlib.import_module",
            "import_module",
            "__import__",
        ):
            yield from ((node.lineno, word.value.partition(".")[0]) for word in node.args[:1]
                        if isinstance(word, ast.Constant) and isinstance(word.value, str))  # fmt: skip


def violations(root: Path) -> list[str]:
    """Every import under `root` that the tables above do not allow, as file:line and words."""
    found = []
    folders = {path.name for path in root.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    found += [f"{name}/: a room that is not in the table" for name in sorted(folders - ROOMS - BELOW.keys() - APART)]
    modules = [(name, root / f"{name}.py") for name in BELOW]
    modules += [(room, path) for room in (*BELOW, *MAY_IMPORT) for path in sorted((root / room).rglob("*.py"))]
    for room, path in modules:
        ours = {room} | (BELOW[room] if room in BELOW else EVERYBODY | set(MAY_IMPORT[room].split()))
        for line, name in imported(path) if path.exists() else ():
            file = str(path.relative_to(root))
            where = f"{file}:{line}"
            if name in (ROOMS | EVERYBODY | APART) and name not in ours:
                found.append(f"{where}: {room} must not import {name}")
            elif name in ONLY_IN and room != "bench" and ONLY_IN[name].isdisjoint({room, file}):
                found.append(f"{where}: {name} belongs in {', '.join(sorted(ONLY_IN[name]))} alone")
    return found


def test_no_room_imports_what_it_may_not() -> None:
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("module", "line", "complaint"),
    [
        ("inference/core.py", "from store.queries import find", "inference/core.py:1: inference must not import store"),
        ("consumer/run.py", "import api.app", "consumer/run.py:1: consumer must not import api"),
        ("api/app.py", "def f():\n    from consumer import run", "api/app.py:2: api must not import consumer"),
        ("schemas/a.py", "import broker", "schemas/a.py:1: schemas must not import broker"),
        ("embedded/deep/a.py", "import schemas", "embedded/deep/a.py:1: embedded must not import schemas"),
        ("consumer/a.py", "from opentelemetry import trace", "consumer/a.py:1: opentelemetry belongs in tracing alone"),
        ("telemetry.py", "import tracing.spans", "telemetry.py:1: telemetry must not import tracing"),
        ("api/a.py", "import_module('consumer.run')", "api/a.py:1: api must not import consumer"),
        ("consumer/a.py", "import torch.nn", "consumer/a.py:1: torch belongs in inference alone"),
        ("inference/a.py", "import torchvision", "inference/a.py:1: torchvision belongs in inference/vision.py alone"),
        ("cli/a.py", "from psycopg import connect", "cli/a.py:1: psycopg belongs in bench, store alone"),
        ("store/a.py", "import tests.seeds", "store/a.py:1: store must not import tests"),
        ("store/a.py", "from fastapi import FastAPI", "store/a.py:1: fastapi belongs in api, cli alone"),
        ("errors.py", "import settings", "errors.py:1: errors must not import settings"),
        ("settings/a.py", "from schemas import events", "settings/a.py:1: settings must not import schemas"),
        ("helpers/__init__.py", "", "helpers/: a room that is not in the table"),
    ],
)  # fmt: skip
def test_a_planted_violation_is_found(tmp_path: Path, module: str, line: str, complaint: str) -> None:
    planted = tmp_path / module
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.write_text(line)
    assert violations(tmp_path) == [complaint]


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("cli/main.py", "from api import app\nfrom consumer import run"),
        ("api/lag.py", "import monitor.sample"),
        ("inference/core.py", "import torch, schemas.predictions, errors, telemetry, settings"),
        ("store/pool.py", "from . import rows\nfrom store.rows import Row\nimport psycopg"),
    ],
)
def test_what_the_table_allows_is_no_violation(tmp_path: Path, module: str, line: str) -> None:
    planted = tmp_path / module
    planted.parent.mkdir(parents=True)
    planted.write_text(line)
    assert violations(tmp_path) == []
