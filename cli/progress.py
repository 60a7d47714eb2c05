"""Progress of long work, on stderr: a bar on a terminal, nothing elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

Advance = Callable[[int], None]


@contextmanager
def progress(
    what: str, total: Callable[[], int] | None = None, unit: str = "images", *, shown: bool = True
) -> Iterator[Advance]:
    """A bar with rate and remaining time; call what it yields with the number of `unit` done since.

    `total` is asked only when there is a bar; without it the bar pulses. `unit` "bytes" shows sizes.
    `shown` False: results go to the terminal themselves.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    visible = shown and console.is_terminal
    counts: tuple[ProgressColumn, ...] = (DownloadColumn(),) if unit == "bytes" else (MofNCompleteColumn(), _rate(unit))
    columns = (TextColumn("{task.description}"), BarColumn(), *counts, TimeRemainingColumn())
    # Results on stdout must stay there: rich would send them to stderr, above its bar.
    with Progress(*columns, console=console, disable=not visible, redirect_stdout=False) as bar:
        task = bar.add_task(what, total=total() if total is not None and visible else None)
        yield lambda done: bar.advance(task, done)


def _rate(unit: str) -> "ProgressColumn":
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f} {unit}/s" if task.speed else "")

    return Rate()
