"""The bench as a user runs it, in its quickest form: that it works and says all it should, never what it says."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import run

SMALL = "resize=32,crop=32"


@pytest.fixture
def settings(kafka: str, database_url: str, tmp_path: Path) -> dict[str, Any]:
    return {
        "kafka_bootstrap_servers": kafka,
        "database_url": database_url,
        "data_dir": tmp_path / "data",
        "cache_dir": tmp_path / "cache",
        "engine": "torch",
        "precision": "fp32",
        "preprocessing": SMALL,
        "max_batch": 8,
    }


@pytest.mark.timeout(240)
def test_a_quick_run_measures_and_writes_all_of_it(settings: dict[str, Any], tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    done = run("bench", "stream", "--quick", "--json", found, "--keep", tmp_path / "baseline.json", **settings)
    assert done.code == 0, done.err
    report = json.loads(found.read_text())
    rows = {row["name"]: row for row in report["results"]}
    ratio = rows["stream / bare loop"]
    assert ratio["engine"] == "torch fp32"
    assert ratio["min"] <= ratio["median"] <= ratio["max"]
    assert ratio["median"] == pytest.approx(ratio["raw"]["stream"][0] / ratio["raw"]["bare loop"][0])
    assert {"stream", "bare loop", "bare loop, serial"} < set(rows)
    assert 0 < rows["CPU an image, bare loop / stream"]["median"] < 10
    assert {"processor", "cores", "memory_mb", "python", "versions", "cuda"} <= set(report["machine"])
    assert report["complete"] is True
    assert report["weights"] == "untrained"
    assert report["options"]["seed"] == 1
    assert [line.split("\t")[1] for line in done.lines] == [row["name"] for row in report["results"]]
    assert list(json.loads((tmp_path / "baseline.json").read_text())) == [
        "torch fp32: CPU an image, bare loop / stream",
        "torch fp32: stream / bare loop",
    ]
    assert not list((tmp_path / "data" / "bench").iterdir())
