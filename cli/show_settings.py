"""`settings`: the effective values, secrets masked, and where each came from."""

import re
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import SecretStr

from cli.options import with_settings
from cli.output import Table, json_line
from settings import (
    PREFIX,
    ApiSettings,
    ConsumerSettings,
    InferenceSettings,
    KafkaSettings,
    LifeSettings,
    LogSettings,
    MonitorSettings,
    Settings,
    SourceSettings,
    StoreSettings,
    origins,
)

_ROOMS: Final = (
    KafkaSettings,
    StoreSettings,
    InferenceSettings,
    SourceSettings,
    ConsumerSettings,
    ApiSettings,
    MonitorSettings,
    LifeSettings,
    LogSettings,
)
_NAMES: Final = tuple(dict.fromkeys(name for room in _ROOMS for name in room.model_fields))
"""Every setting, by room."""
_URL: Final = re.compile(r"(?P<head>[a-z]+://[^:/@?#\s]*)(:[^:/@?#\s]*)?(?P<tail>@[^/@?#\s]*(/[^@?#\s]*)?)(\?[^\s]*)?")
"""A URL whose password can be told from the rest without doubt; what follows `?` may hold a password as well."""


@with_settings(*_ROOMS, logs=None)
def show_settings(
    settings: Settings,
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Show the settings, and where each came from.

    Secrets are masked. Precedence: option, environment, secret file (SCORER_X_FILE), .env, default.
    """
    options = {name for name in _NAMES if context.params.get(name) is not None}
    values = {name: shown(getattr(settings, name)) for name in _NAMES}
    found = origins(options)
    if as_json:
        json_line({name: {"value": value, "from": found[name]} for name, value in values.items()})
        return
    table = Table(("variable", 32), ("value", 40), ("from", 11))
    for name, value in values.items():
        table.row(f"{PREFIX}{name.upper()}", _plain(value), found[name])


def shown(value: Any) -> Any:
    """A value as it may be printed: of a URL without its password, of any other secret nothing."""
    if isinstance(value, SecretStr):
        url = _URL.fullmatch(value.get_secret_value())
        return f"{url['head']}:***{url['tail']}" if url else "***"
    if isinstance(value, tuple):
        return ",".join(str(part) for part in value)
    return str(value) if isinstance(value, Path) else value


def _plain(value: Any) -> str:
    """A value as one writes it into a variable."""
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
