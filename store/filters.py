"""A ScoreFilter as SQL conditions with parameters."""

import hashlib
import json
from typing import Any, LiteralString

from psycopg import sql

from schemas.scores import ScoreFilter
from store import texts

_CONDITIONS: dict[str, LiteralString] = {
    "source": "source = %(source)s",
    "event_id": "event_id = %(event_id)s",
    "label": "label = %(label)s",
    "predicted_class": "predicted_class = %(predicted_class)s",
    "min_probability": "probability >= %(min_probability)s",
    "max_probability": "probability <= %(max_probability)s",
    "model_version": "model_version = %(model_version)s",
    "since": "scored_at >= %(since)s",
    "until": "scored_at < %(until)s",
}


def conditions(where: ScoreFilter) -> tuple[list[sql.Composable], dict[str, Any]]:
    """One condition for each field that is set, and their parameters."""
    values = where.model_dump(exclude_none=True)
    return [sql.SQL(_CONDITIONS[name]) for name in values], {
        name: _value(name, value) for name, value in values.items()
    }


def digest(where: ScoreFilter) -> str:
    """Twelve hex digits that are the same for the same filter."""
    text = json.dumps(where.model_dump(mode="json", exclude_none=True), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _value(name: str, value: Any) -> Any:
    """Texts as they were stored."""
    if name in {"source", "event_id"}:
        return texts.key(value)
    if name == "label":
        return texts.shortened(value, texts.LABEL_CHARS)
    return texts.storable(value) if isinstance(value, str) else value
