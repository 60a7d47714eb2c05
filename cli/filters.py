"""Which scores: the conditions of a ScoreFilter as options."""

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Concatenate, Final, ParamSpec

from pydantic import ValidationError

from cli.options import extend, option
from errors import UsageError
from schemas.scores import ScoreFilter

P = ParamSpec("P")
_HELP: Final = {
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

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> int | None:
        given = {name: value for name in _HELP if (value := kwargs.pop(name)) is not None}
        return command(_filter(given), *args, **kwargs)

    fields = ScoreFilter.model_fields
    extend(
        run, [option(name, fields[name].annotation, text, "Filters") for name, text in _HELP.items()], drop_first=True
    )
    return run


def _filter(given: dict[str, Any]) -> ScoreFilter:
    for name in ("since", "until"):
        if name in given:
            given[name] = _time(name, given[name])
    try:
        return ScoreFilter(**given)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        raise UsageError(f"--{name.replace('_', '-')}={problem['input']}: {problem['msg']}") from error


def _time(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"--{name}={text}: not an ISO 8601 time such as 2026-01-31 or 2026-01-31T09:30:00+01:00"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
