"""Exit codes: the one table from failures to codes, and the one line on stderr that goes with each."""

import sys
import traceback
from collections.abc import Callable
from typing import Final

from typer import Abort
from typer.exceptions import TyperException

from errors import CommandFailed, DependencyAway, Invalid, SafetyLimit, ScorerError, Transient, UsageError

FAILED: Final = 1
UNKNOWN: Final = 3
"""Of a check that could not find out."""
INTERRUPTED: Final = 130
TERMINATED: Final = 143

EXIT_CODES: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (UsageError, 2),
    (SafetyLimit, 3),
    (DependencyAway, 4),
    # A dependency that was there and went away under a command that does not wait for it.
    (Transient, 4),
    (Invalid, FAILED),
    (CommandFailed, FAILED),
    (ScorerError, FAILED),
)
"""First match counts. What is not here is a bug: a traceback, and exit 1."""


def exit_code(run: Callable[[], object], *, failed: int | None = None) -> int:
    """Run a command; its exit code. Expected failures become one line on stderr, bugs keep their traceback.

    `failed`: the code of whatever fails, bugs included, for a command whose own codes are its answer.
    """
    try:
        result = run()
    except TyperException as error:
        say_error(_usage(error))
        return getattr(error, "exit_code", 2) if failed is None else failed
    except ScorerError as error:
        say_error(str(error))
        return next(code for kind, code in EXIT_CODES if isinstance(error, kind)) if failed is None else failed
    except (KeyboardInterrupt, Abort):
        return INTERRUPTED
    except Exception:
        if failed is None:
            raise
        traceback.print_exc()
        return failed
    return result if isinstance(result, int) else 0


def say_error(text: str) -> None:
    """`streamscorer: error: ...`; one line, but where the end of a foreign program's log belongs to it."""
    _say("error", text)


def say_warning(text: str) -> None:
    """`streamscorer: warning: ...`, in one line."""
    _say("warning", text)


def say(text: str) -> None:
    """A line for people, on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _say(kind: str, text: str) -> None:
    say(f"streamscorer: {kind}: {text.strip()}")


def _usage(error: TyperException) -> str:
    context = getattr(error, "ctx", None)
    more = f" (see `{context.command_path} --help`)" if context is not None else ""
    return f"{error.format_message().rstrip('.')}{more}"
