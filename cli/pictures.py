"""Which pictures a command is about: files, folders, globs, and the rows of a manifest, one after the other."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import has_magic, iglob
from pathlib import Path
from typing import Final, Protocol

from errors import ImageTooLarge, SourceNotFound

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp"})
"""What is taken from a folder or a glob. A file that is named itself is taken as it is."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: a file of this machine, or a URI. What a manifest does not say is None."""

    place: Path | str
    id: str | None = None
    source: str | None = None
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The path below the working directory (absolute where it lies elsewhere), or the URI: the same in each run."""
        if isinstance(self.place, str):
            return self.place
        absolute = Path(os.path.abspath(self.place))  # noqa: PTH100  (resolve() would follow links)
        here = Path.cwd()
        name = absolute.relative_to(here) if absolute.is_relative_to(here) else absolute
        return os.fsencode(name).decode("utf-8", "replace")

    @property
    def uri(self) -> str:
        """Where to fetch the picture: its URI, of a file file://..."""
        return self.place if isinstance(self.place, str) else Path(os.path.abspath(self.place)).as_uri()  # noqa: PTH100

    def read(self, max_bytes: int) -> bytes:
        """The encoded bytes of a file. Raises SourceNotFound where that fails, ImageTooLarge above `max_bytes`."""
        path = Path(self.place)
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > max_bytes:
                    raise ImageTooLarge(f"{size} bytes are more than SCORER_MAX_IMAGE_BYTES={max_bytes}")
                return file.read(max_bytes)
        except OSError as error:
            raise SourceNotFound(f"cannot be read: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class Missing:
    """An argument or a row that names no picture, and why."""

    name: str
    reason: str


class Pictures(Protocol):
    """Pictures that can be gone through more than once."""

    def __iter__(self) -> Iterator[Picture | Missing]: ...

    def __len__(self) -> int: ...


class Paths:
    """The pictures that arguments name: files as they are; of folders (with all below) and globs the known suffixes.

    Sorted within a folder; nothing is kept in memory but one folder's names.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Picture | Missing]:
        for argument in self._arguments:
            path = Path(argument)
            if path.is_dir():
                yield from _or_missing(_walk(path), argument, "no image in this folder or below")
            elif not path.exists() and has_magic(argument):
                matches = (Path(match) for match in sorted(iglob(argument, recursive=True)))  # noqa: PTH207  (Path.glob takes no absolute one)
                images = (match for match in matches if _is_image(match))
                yield from _or_missing(images, argument, "no image matches")
            elif path.exists() or path.is_symlink():
                yield Picture(path)
            else:
                yield Missing(argument, "no such file or folder")


def _walk(folder: Path) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        folders.sort()
        yield from (path for name in sorted(files) if _is_image(path := Path(where, name)))


def _or_missing(paths: Iterator[Path], argument: str, reason: str) -> Iterator[Picture | Missing]:
    first = next(paths, None)
    if first is None:
        yield Missing(argument, f"{reason} ({' '.join(sorted(SUFFIXES))})")
        return
    yield Picture(first)
    yield from (Picture(path) for path in paths)


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()
