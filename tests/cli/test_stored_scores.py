"""`migrate`, `scores` and `export` against a real database: what comes out is what the store holds."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr

from cli.frames import ENDINGS, scan, score_schema
from schemas.scores import Score, ScoreFilter
from settings import StoreSettings
from store.decisions import NewScore
from store.store import open_store
from telemetry import Metrics
from tests.cli.commands import run
from tests.store.makers import score

ROWS = 25


def write(url: str, scores: Sequence[NewScore]) -> list[Score]:
    """Store `scores`; all that the store holds then, newest first."""

    async def go() -> list[Score]:
        async with open_store(StoreSettings(database_url=SecretStr(url)), Metrics(), start_timeout_s=10) as store:
            await store.write(scores, ())
            return [score async for chunk in store.iterate(ScoreFilter()) for score in chunk]

    return asyncio.run(go())


@pytest.fixture
def stored(migrated_url: str) -> list[Score]:
    labels = ("tabby", 'tiger, "big" cat', "\N{CAT FACE}")
    return write(
        migrated_url,
        [score(n, f"event/{n}", label=labels[n % 3], probability=n / ROWS, source="cam\x1b[31m") for n in range(ROWS)],
    )


def test_migrate_says_what_it_applied_and_then_that_nothing_is_left(database_url: str) -> None:
    behind = run("scores", database_url=database_url)
    assert (behind.code, behind.out) == (2, "")
    assert "streamscorer migrate" in behind.err
    first, second = (run("migrate", database_url=database_url) for _ in range(2))
    assert (first.code, first.lines) == (0, ["applied 0001", "applied 0002", "applied 0003"])
    assert (second.code, second.lines) == (0, ["the schema is up to date"])
    assert run("scores", database_url=database_url).code == 0


def test_scores_as_json_are_the_stored_ones(migrated_url: str, stored: list[Score]) -> None:
    done = run("scores", "--json", "--limit", 10, database_url=migrated_url)
    assert (done.code, done.err) == (0, "")
    assert [Score.model_validate_json(line) for line in done.lines] == stored[:10]


def test_scores_outside_a_terminal_are_tab_separated_and_cannot_steer_one(
    migrated_url: str, stored: list[Score]
) -> None:
    done = run("scores", "--event-id", "event/4", database_url=migrated_url)
    assert done.code == 0
    (row,) = (line.split("\t") for line in done.lines)
    assert row[1:] == [
        "cam\N{REPLACEMENT CHARACTER}[31m",
        "event/4",
        'tiger, "big" cat',
        "0.1600",
        stored[0].model_version,
    ]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_export_holds_the_stored_rows(tmp_path: Path, migrated_url: str, stored: list[Score], ending: str) -> None:
    file = tmp_path / f"scores{ending}"
    done = run("export", file, "--label", "tabby", "--min-probability", "0.1", database_url=migrated_url)
    assert (done.code, done.out) == (0, "")
    rows = scan(file, score_schema(ending), ending).collect().to_dicts()
    assert rows == [flat(score, ending) for score in stored if score.label == "tabby" and score.probability >= 0.1]
    assert done.err == f"{file}: {len(rows)} rows\n"


def flat(score: Score, ending: str) -> dict[str, Any]:
    """The columns of the table, written down independently."""
    top = [asdict(one) for one in score.top]
    return {
        "source": score.source,
        "event_id": score.event_id,
        "predicted_class": score.predicted_class,
        "label": score.label,
        "probability": score.probability,
        "top": json.dumps(top, separators=(",", ":"), ensure_ascii=False) if ending == ".csv" else top,
        "model_version": score.model_version,
        "engine": score.engine,
        "precision": score.precision,
        "sha256": score.image.sha256,
        "format": score.image.format,
        "width": score.image.width,
        "height": score.image.height,
        "bytes": score.image.bytes,
        "event_time": score.event_time,
        "scored_at": score.scored_at,
        "kafka_topic": score.kafka.topic,
        "kafka_partition": score.kafka.partition,
        "kafka_offset": score.kafka.offset,
        "traceparent": score.traceparent,
    }


def test_an_export_of_nothing_is_a_file_with_columns(tmp_path: Path, migrated_url: str) -> None:
    done = run("export", tmp_path / "none.parquet", "--since", "2030-01-01", database_url=migrated_url)
    assert done.code == 0
    frame = pl.read_parquet(tmp_path / "none.parquet")
    assert frame.is_empty()
    assert frame.schema == pl.Schema(score_schema(".parquet"))
