"""Writes the dashboards as Grafana reads them: `python -m deploy.grafana.generate`, after each change of a page."""

import json
from pathlib import Path

from deploy.grafana.pages import api, core, dead_letters, overview, pipeline, store

FOLDER = Path(__file__).parent / "dashboards"
PAGES = {
    "overview.json": overview.page,
    "pipeline.json": pipeline.page,
    "api.json": api.page,
    "core.json": core.page,
    "store.json": store.page,
    "dead-letters.json": dead_letters.page,
}


def texts() -> dict[str, str]:
    """What stands in each file of FOLDER, by its name."""
    return {name: json.dumps(page(), indent=2, ensure_ascii=False) + "\n" for name, page in PAGES.items()}


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
