"""Results on stdout: alone, unwrapped, flushed; aligned for people on a terminal, tab-separated for programs."""

import sys
from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json


def line(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def json_line(value: Any) -> None:
    """One value as one line of JSON."""
    line(to_json(value).decode())


class Table:
    """Rows that are written as they come: memory does not grow with their number.

    `columns`: heading and, for the terminal, least width of each. Elsewhere there is no heading.
    """

    def __init__(self, *columns: tuple[str, int]) -> None:
        self._widths = [width for _, width in columns]
        self._heading = [heading.upper() for heading, _ in columns]
        self._terminal = sys.stdout.isatty()

    def row(self, *cells: object) -> None:
        if self._terminal and self._heading:
            line(self._aligned(self._heading))
            self._heading = []
        texts = [printable(str(cell)) for cell in cells]
        line(self._aligned(texts) if self._terminal else "\t".join(texts))

    def _aligned(self, cells: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, self._widths, strict=True)).rstrip()


def printable(text: str) -> str:
    """`text` without control characters: ids and labels come from strangers and must not steer a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
