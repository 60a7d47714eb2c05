"""Files of a data directory: written as a whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from telemetry import logger

log = logger("embedded")


def place(data_dir: Path, part: str) -> Path:
    """Where a part keeps its files; absolute, since programs run in directories of their own."""
    return data_dir.absolute() / part


def write_whole(path: Path, text: str) -> None:
    """Write a file (mode 600) so that a reader finds the old content or the new one, never a part."""
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(scratch).replace(path)


@contextmanager
def scratch_directory(parent: Path, prefix: str) -> Iterator[Path]:
    """A directory beside the place where its content will be renamed to; removed at the end.

    What a killed process left under the same prefix is removed first: call it under the lock of `parent`.
    """
    for left in parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def set_aside(directory: Path) -> None:
    """Rename a directory that cannot be used, so that nothing in it is lost and a new one can be made."""
    number = 1
    while (aside := directory.with_name(f"{directory.name}.broken-{number}")).exists():
        number += 1
    directory.rename(aside)
    log.warning("set aside what cannot be used; a new one is made", directory=str(directory), now=str(aside))
