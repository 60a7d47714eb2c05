"""The dashboards that are committed are those that the generator gives, and Grafana can show them."""

from deploy.grafana.generate import FOLDER, texts
from tests.deploy.files import panels


def test_the_committed_dashboards_are_what_the_generator_gives() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*")}
    assert committed == texts(), "run `python -m deploy.grafana.generate`"


def test_no_panel_lies_over_another_or_beyond_the_page() -> None:
    taken: dict[tuple[str, int, int], str] = {}
    for where, panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, where
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                spot = (where.partition(":")[0], x, y)
                assert spot not in taken, f"{where} lies over {taken[spot]}"
                taken[spot] = where
