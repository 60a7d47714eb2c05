"""Conditions as options: one option for each field of a filter."""

import functools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from pydantic import BaseModel, ValidationError

from cli.options import extend, option
from errors import UsageError
from schemas.scores import ScoreFilter

P = ParamSpec("P")
F = TypeVar("F", bound=BaseModel)
_SCORES: Final = {
    "source": "Of this source.",
    "event_id": "Of the event with this id.",
    "label": "Whose most probable class has this label.",
    "predicted_class": "Whose most probable class has this index.",
    "min_probability": "At least this probable.",
    "max_probability": "At most this probable.",
    "model_version": "Of this model version.",
    "since": "Scored at this time or later (ISO 8601; UTC where no zone is given).",
    "until": "Scored before this time (ISO 8601; UTC where no zone is given).",
}


def with_filters(command: Callable[Concatenate[ScoreFilter, P], int | None]) -> Callable[P, int | None]:
    """Give the command the options of ScoreFilter, and a ScoreFilter as its first argument."""
    return with_options_of(ScoreFilter, _SCORES, command)


def with_options_of(
    kind: type[F], help_texts: Mapping[str, str], command: Callable[Concatenate[F, P], int | None]
) -> Callable[P, int | None]:
    """Give the command an option for each field named in `help_texts`, and a `kind` as its first argument."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> int | None:
        given = {name: value for name in help_texts if (value := kwargs.pop(name)) is not None}
        return command(_filter(kind, given), *args, **kwargs)

    fields = kind.model_fields
    options = [option(name, fields[name].annotation, text, "Filters") for name, text in help_texts.items()]
    extend(run, options, drop_first=True)
    return run


def _filter(kind: type[F], given: dict[str, Any]) -> F:
    for name in ("since", "until"):
        if name in given:
            given[name] = moment(name, given[name])
    try:
        return kind(**given)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        raise UsageError(f"--{name.replace('_', '-')}={problem['input']}: {problem['msg']}") from error


def moment(name: str, text: str) -> datetime:
    """The time that option --`name` was given. Raises UsageError."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"--{name}={text}: not an ISO 8601 time such as 2026-01-31 or 2026-01-31T09:30:00+01:00"
        ) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)
