"""Settings as options: a command names the rooms it reads, its options are made from their fields.

    @with_settings(KafkaSettings, "max_image_bytes")
    def publish(settings: Settings, paths: ...) -> int: ...

The command gets the whole `Settings`, read with the precedence option, environment, secret file, .env, default.
"""

import functools
import inspect
import types
from collections.abc import Callable, Iterator
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Concatenate, Final, Literal, ParamSpec, Union, get_args, get_origin

import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from cli.exits import say_warning
from settings import PREFIX, LogSettings, Settings, known_variables, load, unknown_variables

P = ParamSpec("P")
Room = type[BaseModel] | str
Logs = Literal["info", "warning"]
_METAVARS: Final = {int: "INTEGER", float: "NUMBER", Path: "PATH", SecretStr: "SECRET", datetime: "TIME"}


def with_settings(
    *rooms: Room, logs: Logs | None = "warning"
) -> Callable[[Callable[Concatenate[Settings, P], int | None]], Callable[..., int]]:
    """Give the command an option for each field of `rooms` (models of settings/, or names of single fields).

    `logs`: the command writes logs, from this level on where LOG_LEVEL is not set; None: it writes none.
    """
    names = list(_field_names((*rooms, LogSettings) if logs else rooms))

    def decorate(command: Callable[Concatenate[Settings, P], int | None]) -> Callable[..., int]:
        @functools.wraps(command)
        def run(*args: Any, **kwargs: Any) -> int:
            settings = load({name: kwargs.pop(name) for name in names})
            warn_about_unknown_variables()
            if logs:
                from telemetry import configure_logging

                level = settings.log_level if "log_level" in settings.model_fields_set else logs
                configure_logging(settings.model_copy(update={"log_level": level}))
            return command(settings, *args, **kwargs) or 0

        extend(run, [_parameter(name, Settings.model_fields[name]) for name in names], drop_first=True)
        return run

    return decorate


def extend(function: Callable[..., Any], options: list[inspect.Parameter], *, drop_first: bool = False) -> None:
    """Let `function` show `options` behind its own parameters, as typer reads them from its signature."""
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1 if drop_first else 0 :]
    shown = [*own, *options]
    function.__signature__ = inspect.Signature(shown, return_annotation=int)  # type: ignore[attr-defined]  # functions take it
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}


def option(name: str, annotation: Any, text: str, panel: str) -> inspect.Parameter:
    """A keyword-only option `--name` without a default: text, or a flag pair for a bool."""
    kind = _plain(annotation)
    flag = name.replace("_", "-")
    info = typer.Option(
        f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}",
        help=text,
        metavar=None if kind is bool else _metavar(kind),
        rich_help_panel=panel,
        show_default=False,
    )
    shape: Any = Annotated[(bool if kind is bool else str) | None, info]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=shape)


def warn_about_unknown_variables() -> None:
    """One line on stderr for SCORER_ variables that nothing reads, each with the known name nearest to it."""
    unknown = unknown_variables()
    if not unknown:
        return
    known = known_variables()
    nearest = {name: get_close_matches(name, known, n=1) for name in unknown}
    said = (name + (f" (did you mean {near[0]}?)" if near else "") for name, near in nearest.items())
    say_warning(f"no setting reads {', '.join(said)}")


def _field_names(rooms: tuple[Room, ...]) -> Iterator[str]:
    names = (name for room in rooms for name in ([room] if isinstance(room, str) else room.model_fields))
    yield from dict.fromkeys(names)


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    default = field.get_default(call_default_factory=True, validated_data={})
    shown = "" if default in (None, "", ()) else f"; default {str(default).lower() if default is False else default}"
    return option(name, field.annotation, f"{field.description} ({PREFIX}{name.upper()}{shown})", _panel(name))


def _panel(name: str) -> str:
    """The room that declares the field: "Kafka settings" for a field of KafkaSettings."""
    owner = next(kind for kind in reversed(Settings.__mro__) if name in getattr(kind, "model_fields", ()))
    return f"{owner.__name__.removesuffix('Settings')} settings"


def _plain(annotation: Any) -> Any:
    """`X | None` and `Annotated[X, ...]` as X."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return _plain(next(part for part in get_args(annotation) if part is not type(None)))
    return annotation


def _metavar(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "|".join(str(value) for value in get_args(kind))
    return _METAVARS.get(kind, "TEXT")
