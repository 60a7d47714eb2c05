"""The few kinds of panels that our dashboards need, as Grafana's JSON."""

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
GREEN, ORANGE, RED = "green", "orange", "red"


def line(legend: str, expr: str) -> Json:
    """One expression of a panel; `legend` may hold {{label}}."""
    return {"datasource": DATASOURCE, "expr": expr, "legendFormat": legend, "range": True}


def graph(
    title: str, unit: str, *lines: Json, stacked: bool = False, text: str = "", limit: float | None = None
) -> Json:
    """Curves over time, half a page wide. `unit` is Grafana's name of it; at `limit` a dashed line is drawn."""
    custom: Json = {"fillOpacity": 20 if stacked else 5, "showPoints": "never"}
    if stacked:
        custom["stacking"] = {"mode": "normal"}
    if limit is not None:
        custom["thresholdsStyle"] = {"mode": "dashed"}
    return _panel("timeseries", title, text, (12, 8), lines) | {
        "fieldConfig": _fields(unit, _steps(limit), custom=custom, min=0),
        "options": {
            "legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def number(title: str, unit: str, expr: str, *, red: float | None = None, text: str = "") -> Json:
    """One figure, as it is now; red from `red` on."""
    return _panel("stat", title, text, (4, 4), [_now(expr)]) | {
        "fieldConfig": _fields(unit, _steps(red)),
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background" if red else "value"},
    }


def verdict(title: str, expr: str, words: Sequence[tuple[str, str]], *, text: str = "") -> Json:
    """One word with its colour: `words[n]` where the expression gives n."""
    options = {str(value): {"text": word, "color": colour} for value, (word, colour) in enumerate(words)}
    fields = _fields("short", _steps(None), mappings=[{"type": "value", "options": options}], noValue="unknown")
    return _panel("stat", title, text, (4, 4), [_now(expr)]) | {
        "fieldConfig": fields,
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background"},
    }


def table(title: str, columns: Sequence[tuple[str, str, str]], *, text: str = "") -> Json:
    """A row for each set of labels; `columns` are (heading, unit, expression), worst first by the first of them."""
    overrides = [
        {"matcher": {"id": "byName", "options": heading}, "properties": [{"id": "unit", "value": unit}]}
        for heading, unit, _ in columns
    ]
    panel = _panel("table", title, text, (24, 9), [_now(expr) | {"format": "table"} for _, _, expr in columns])
    # With one query Grafana calls its column plainly Value.
    values = [f"Value #{chr(ord('A') + index)}" for index in range(len(columns))] if len(columns) > 1 else ["Value"]
    names = {value: heading for value, (heading, _, _) in zip(values, columns, strict=True)}
    return panel | {
        "fieldConfig": _fields("short", _steps(None)) | {"overrides": overrides},
        "options": {"sortBy": [{"displayName": columns[0][0], "desc": True}]},
        "transformations": [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": names}},
        ],
    }


def heatmap(title: str, unit: str, expr: str, *, text: str = "") -> Json:
    """A histogram over time; `expr` gives its buckets by `le`."""
    target = line("{{le}}", expr) | {"format": "heatmap"}
    return _panel("heatmap", title, text, (12, 8), [target]) | {
        "options": {"calculate": False, "yAxis": {"unit": unit}, "color": {"scheme": "Blues", "mode": "scheme"}}
    }


def dashboard(name: str, title: str, text: str, panels: Sequence[Json]) -> Json:
    """A page of `panels`, laid out from left to right and top to bottom; `name` is a part of its address."""
    return {
        "uid": f"streamscorer-{name}",
        "title": f"Streamscorer: {title}",
        "description": text,
        "tags": ["streamscorer"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [
            {
                "type": "dashboards",
                "title": "All pages",
                "tags": ["streamscorer"],
                "keepTime": True,
                "includeVars": True,
            }
        ],
        "templating": {"list": [_DATASOURCES, _PIPELINES]},
        "panels": _laid_out(panels),
    }


_DATASOURCES = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
_PIPELINES = {
    "name": "pipeline",
    "label": "Pipeline",
    "type": "query",
    "datasource": DATASOURCE,
    "query": {"query": 'label_values(up{pipeline!=""}, pipeline)', "refId": "pipelines"},
    "refresh": 2,
    "sort": 1,
}


def _laid_out(panels: Sequence[Json]) -> list[Json]:
    x = y = row = 0
    placed = []
    for place, panel in enumerate(panels, start=1):
        width, height = panel["gridPos"]["w"], panel["gridPos"]["h"]
        if x + width > COLUMNS or height != row:
            x, y, row = 0, y + row, height
        placed.append(panel | {"id": place, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
        x += width
    return placed


def _panel(kind: str, title: str, text: str, size: tuple[int, int], targets: Sequence[Json]) -> Json:
    width, height = size
    return {
        "type": kind,
        "title": title,
        "description": text,
        "datasource": DATASOURCE,
        "gridPos": {"w": width, "h": height},
        "targets": [target | {"refId": chr(ord("A") + index)} for index, target in enumerate(targets)],
    }


def _now(expr: str) -> Json:
    return {"datasource": DATASOURCE, "expr": expr, "instant": True, "range": False}


def _fields(unit: str, steps: list[Json], **defaults: object) -> Json:
    return {"defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}, **defaults}, "overrides": []}


def _steps(red: float | None) -> list[Json]:
    steps: list[Json] = [{"color": GREEN, "value": None}]
    return steps if red is None else [*steps, {"color": RED, "value": red}]
