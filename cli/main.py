"""`streamscorer`: the commands by name."""

import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final, NoReturn

import typer

from cli.bench import bench
from cli.calibrate import calibrate
from cli.dlq import list_dead_letters, resume, show
from cli.dlq_resolve import discard, redrive
from cli.embedded import embedded
from cli.exits import TERMINATED, UNKNOWN, exit_code
from cli.export import export
from cli.help import GroupedHelp
from cli.lag import lag
from cli.offsets import reset, skip
from cli.openapi import openapi
from cli.pause import pause, unpause
from cli.predict import predict
from cli.publish import publish
from cli.role_commands import all_roles, api, consumer, monitor, up
from cli.scores import scores
from cli.setup import create_topics, migrate
from cli.show_settings import show_settings

COMMANDS: Final[dict[str, Callable[..., int]]] = {
    "up": up,
    "all": all_roles,
    "consumer": consumer,
    "api": api,
    "monitor": monitor,
    "embedded": embedded,
    "publish": publish,
    "predict": predict,
    "scores": scores,
    "export": export,
    "lag": lag,
    "pause": pause,
    "resume": unpause,
    "migrate": migrate,
    "calibrate": calibrate,
    "settings": show_settings,
    "openapi": openapi,
    "bench": bench,
}
OFFSETS: Final[dict[str, Callable[..., int]]] = {"reset": reset, "skip": skip}
TOPICS: Final[dict[str, Callable[..., int]]] = {"create": create_topics}
DLQ: Final[dict[str, Callable[..., int]]] = {
    "list": list_dead_letters,
    "show": show,
    "redrive": redrive,
    "discard": discard,
    "resume": resume,
}


def build_app() -> typer.Typer:
    """All commands."""
    app = _group(
        "Score images from Kafka with a ResNet50, keep the answers in PostgreSQL, and ask for them over HTTP.",
        COMMANDS,
    )
    app.add_typer(_group("The topics in Kafka.", TOPICS), name="topics")
    app.add_typer(_group("Where the consumer group goes on, while it is stopped.", OFFSETS), name="offsets")
    app.add_typer(_group("Dead letters: what was refused, and what becomes of it.", DLQ), name="dlq")
    return app


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command that `arguments` (default: the process's) name, and exit with its code."""
    signal.signal(signal.SIGTERM, _terminate)
    words = sys.argv[1:] if arguments is None else arguments
    # A check: 0, 1 and 2 are its answers, also to whoever gave it a wrong option.
    failed = UNKNOWN if words[:1] == ["lag"] else None
    sys.exit(exit_code(lambda: build_app()(arguments, prog_name="streamscorer", standalone_mode=False), failed=failed))


def _group(text: str, commands: dict[str, Callable[..., int]]) -> typer.Typer:
    group = typer.Typer(
        help=text,
        epilog="Every option of a command has a SCORER_ variable; `streamscorer settings` shows what they are set to.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        # Plain text: rich cuts long names to fit its frames, and a variable cut short cannot be copied.
        rich_markup_mode=None,
    )
    # Without it typer would leave out the name of a command that is alone in its group.
    group.callback()(lambda: None)
    for name, command in commands.items():
        group.command(name, cls=GroupedHelp)(command)
    return group


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    # Commands that drain install their own handler; the others leave through their `finally` blocks.
    sys.exit(TERMINATED)


if __name__ == "__main__":
    main()
