"""A virtual environment for each peer. All share our torch, which weighs 5 GB; else the peer's own versions win."""

import asyncio
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.cases import Skipped

_INSTALL_S = 300.0
_STAMP = "installed"


@dataclass(frozen=True, slots=True)
class Environment:
    """What is installed beside torch."""

    name: str
    requirements: tuple[str, ...]
    shown: str
    """The distribution whose version is printed."""


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment that is there."""

    python: Path
    version: str
    """`litserve 0.2.19`"""


async def install(environment: Environment, directory: Path) -> Installed:
    """Make the environment below `directory`, or take the one that is there. Raises Skipped when it cannot be made."""
    home = directory / environment.name
    python = home / "bin" / "python"
    torch = _site_packages_of_torch()
    wanted = "\n".join((sys.version, str(torch), *environment.requirements))
    stamp = home / _STAMP
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(home, ignore_errors=True)
        await _run(environment, sys.executable, "-m", "venv", "--without-pip", str(home))
        pip = (sys.executable, "-m", "pip", "--python", str(python), "install")
        quietly = ("--disable-pip-version-check", "--no-input", "--quiet")
        await _run(environment, *pip, *quietly, *environment.requirements)
        (packages,) = (home / "lib").glob("python*/site-packages")
        # Only now: pip must not take what is there for installed. Lines of a .pth file go behind the peer's own.
        (packages / "torch.pth").write_text(f"{torch}\n", encoding="utf-8")
        stamp.write_text(wanted, encoding="utf-8")
    ask = f"from importlib.metadata import version; print(version({environment.shown!r}))"
    return Installed(python, f"{environment.shown} {await _run(environment, str(python), '-c', ask)}")


def _site_packages_of_torch() -> Path:
    spec = find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent.parent


async def _run(environment: Environment, *command: str) -> str:
    """Output of a command that ends by itself. Raises Skipped with the last line of a failure."""
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
    try:
        async with asyncio.timeout(_INSTALL_S):
            output, _ = await process.communicate()
    except BaseException as error:
        process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            raise Skipped(f"{environment.name} was not installed within {_INSTALL_S:g} s") from None
        raise
    text = output.decode(errors="replace").strip()
    if process.returncode != 0:
        raise Skipped(f"{environment.name} cannot be installed: {text.splitlines()[-1] if text else 'no output'}")
    return text
