"""The project can be installed as its files say: imports declared, requirements pinned, targets listed."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests")


PART_OF = {"starlette": "fastapi", "pydantic-core": "pydantic", "psycopg-pool": "psycopg"}
"""Distributions that come with another one, as its own lower half or as an extra of it."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required(*extras: str) -> set[str]:
    """Names of the distributions that the project, with `extras`, asks for."""
    project = PROJECT["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return {normal(match.group()) for line in lines if (match := re.match(r"[A-Za-z0-9._-]+", line))} - {"streamscorer"}


def third_party(folder: str) -> Iterator[tuple[str, str]]:
    """(file, top-level module) of each import that is neither ours nor the standard library's."""
    ours = {*ROOMS, "tests", "deploy", "settings", "errors", "telemetry"}
    files = sorted((ROOT / folder).rglob("*.py")) if folder else sorted(ROOT.glob("*.py"))
    for path in files:
        if path.is_relative_to(ROOT / "bench/peers/servers"):
            continue  # each runs in an environment of its own, which bench/peers makes
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            for name in {name.partition(".")[0] for name in names} - ours - sys.stdlib_module_names:
                yield str(path.relative_to(ROOT)), name


@pytest.mark.parametrize("folder", ["", "tests", *ROOMS])
def test_every_import_is_declared(folder: str) -> None:
    extras = {
        "embedded": ["embedded"],
        "tracing": ["otel"],
        "bench": ["embedded", "bench"],
        "tests": ["embedded", "otel", "dev"],
    }.get(folder, [])
    declared, distributions = required(*extras), packages_distributions()
    missing = {
        f"{file}: {module}"
        for file, module in third_party(folder)
        if not {PART_OF.get(normal(name), normal(name)) for name in distributions.get(module, [module])} & declared
    }
    assert missing == set()


def test_every_requirement_has_one_pin() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pinned = [normal(line.partition("==")[0]) for line in lines]
    assert all(re.fullmatch(r"[a-z0-9-]+==[^ ;]+", line) for line in lines)
    assert len(pinned) == len(set(pinned))
    assert required("embedded", "openvino", "bench", "otel", "dev") <= set(pinned)
    assert not [name for name in pinned if name.startswith(("nvidia", "cuda", "triton"))]


def test_every_room_is_installed() -> None:
    included = {pattern.removesuffix("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert set(ROOMS) <= included


def make(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    # Neither the settings of the `make` that runs the tests, nor its targets.
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "TORCH_INDEX")
    }
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=clean, capture_output=True, text=True, timeout=60, check=False
    )


def test_make_alone_lists_every_target() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    done = make(ROOT)
    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.splitlines()[1:]} == targets
    assert {"install", "run", "test", "check", "docker", "clean"} <= targets


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "old python"
    # Answers as an interpreter of 3.10 would: no to the question, and its version.
    old.write_text('#!/bin/sh\ncase "$2" in *sys.exit*) exit 1;; *) echo "Python 3.10.9 is too old";; esac\n')
    old.chmod(0o755)
    done = make(tmp_path, "install", "PYTHON=./old\\ python")
    assert done.returncode != 0
    assert "Python 3.11 or newer" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_image_can_be_built_where_no_frontend_can_be_pulled() -> None:
    assert "syntax=" not in (ROOT / "Dockerfile").read_text().splitlines()[0]
