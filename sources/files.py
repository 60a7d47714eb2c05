"""file:// under the allowed roots, out of which neither `..` nor a symbolic link leads."""

import asyncio
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote_to_bytes

from errors import ImageTooLarge, SourceNotFound, SourceRefused, SourceUnavailable
from sources.limits import FetchLimits

_STEP = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_LAST = _STEP | os.O_NONBLOCK | os.O_NOCTTY
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENXIO})


class FileSource:
    """Reads regular files in threads: a slow disk must not hold the event loop."""

    def __init__(self, roots: Sequence[str], limits: FetchLimits, threads: Executor) -> None:
        self._roots = roots
        self._limits = limits
        self._threads = threads

    async def read(self, uri: str) -> bytes:
        if not self._roots:
            raise SourceRefused("file:// is not allowed: name folders that may be read in SCORER_URI_FILE_ROOTS")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, _path(uri))

    def _read(self, path: str) -> bytes:
        shown = repr(path[:200])  # a path need not be text
        real = Path(os.path.realpath(path))
        roots = [Path(os.path.realpath(root)) for root in self._roots]
        root = next((root for root in roots if real.is_relative_to(root)), None)
        if root is None:
            raise SourceRefused(f"{shown} is not under the folders of SCORER_URI_FILE_ROOTS")
        if not root.is_dir():
            raise SourceUnavailable(f"the allowed folder {root} is not there")
        with _failures(shown):
            descriptor = _open(root, real.relative_to(root).parts, shown)
            with os.fdopen(descriptor, "rb") as file:
                size = os.fstat(descriptor).st_size
                data = b"" if size > self._limits.max_bytes else file.read(self._limits.max_bytes + 1)
        size = max(size, len(data))
        if size > self._limits.max_bytes:
            raise ImageTooLarge(f"{shown} has {size} bytes; at most {self._limits.max_bytes} are accepted")
        return data


def _path(uri: str) -> str:
    rest = uri.partition(":")[2]
    if rest.startswith("//"):
        host, slash, rest = rest[2:].partition("/")
        rest = slash + rest
        if host.lower() not in ("", "localhost"):
            raise SourceRefused(f"{host[:80]!r} is another host: write file:///path")
    if not rest.startswith("/") or "?" in rest or "#" in rest:
        raise SourceRefused(f"{uri[:200]!r} is no absolute path: write file:///path, with %3F for ? and %23 for #")
    path = os.fsdecode(unquote_to_bytes(rest))
    if "\0" in path:
        raise SourceRefused(f"{uri[:200]!r} holds a NUL")
    return path


def _open(root: Path, parts: Sequence[str], shown: str) -> int:
    """Open folder by folder and follow no link: the path was resolved, so a link here was put in its way since."""
    folder = os.open(root, _STEP | os.O_DIRECTORY)
    try:
        for name in parts[:-1]:
            inner = os.open(name, _STEP | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        last = parts[-1] if parts else "."
        _insist_on_file(os.stat(last, dir_fd=folder, follow_symlinks=False), shown)  # a device may act on being opened
        descriptor = os.open(last, _LAST, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        _insist_on_file(os.fstat(descriptor), shown)
    except SourceRefused:
        os.close(descriptor)
        raise
    return descriptor


def _insist_on_file(found: os.stat_result, shown: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise SourceRefused(f"{shown} is not a regular file")


@contextmanager
def _failures(shown: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _ABSENT:
            raise SourceNotFound(f"{shown} does not exist") from error
        if error.errno in _FORBIDDEN:
            raise SourceRefused(f"{shown} cannot be read: {error.strerror}") from error
        raise SourceUnavailable(f"{shown} cannot be read for now: {error.strerror}") from error
