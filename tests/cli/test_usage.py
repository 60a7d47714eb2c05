"""Wrong starts end with one clear line, the code of the contract, and nothing on stdout."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import run

NOWHERE = "127.0.0.1:9"


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (["publish", "--frobnicate"], {}, "No such option: --frobnicate"),
        (["frobnicate"], {}, "No such command 'frobnicate'"),
        (["publish"], {}, "PATH..."),
        (["settings", "--top-k", "many"], {}, "--top-k=many"),
        (["settings"], {"engine": "quantum"}, "SCORER_ENGINE=quantum"),
        (["settings"], {"kafka_sasl_mechanism": "PLAIN"}, "contradicts SCORER_KAFKA_SECURITY_PROTOCOL=PLAINTEXT"),
        (["settings"], {"host": "0.0.0.0"}, "SCORER_INSECURE=true"),
        (["publish", "samples"], {}, "SCORER_KAFKA_BOOTSTRAP_SERVERS is not set"),
        (["migrate"], {}, "SCORER_DATABASE_URL is not set"),
        (["scores", "--since", "yesterday"], {}, "--since=yesterday"),
        (["scores", "--min-probability", "2"], {}, "--min-probability=2"),
        (["export", "scores.xlsx"], {}, "unknown ending .xlsx; known are .parquet .csv .arrow .ndjson"),
        (["export", "nowhere/scores.csv"], {}, "there is no folder nowhere"),
        (["predict", "samples", "-o", "out.txt"], {}, "unknown ending .txt"),
        (["predict", "samples", "--manifest", "m.csv"], {}, "one of the two"),
        (["publish", "--manifest", "m.xls"], {}, "--manifest m.xls: no such file"),
        (["publish", "--form", "image", "--uri", "samples"], {}, "--form image"),
        (["publish", "--form", "xml", "samples"], {}, "'xml' is not one of"),
    ],
)
def test_wrong_usage_is_one_line_that_names_it_and_exit_2(
    arguments: list[str], settings: dict[str, Any], said: str
) -> None:
    done = run(*arguments, **settings)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert done.err.startswith("streamscorer: error: ")
    assert said in done.err


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (["topics", "create"], {"kafka_bootstrap_servers": NOWHERE}, NOWHERE),
        (["publish", "samples"], {"kafka_bootstrap_servers": NOWHERE}, NOWHERE),
        (["migrate"], {"database_url": f"postgresql://me:secret@{NOWHERE}/db"}, NOWHERE),
        (["scores"], {"database_url": f"postgresql://me:secret@{NOWHERE}/db"}, NOWHERE),
    ],
)
def test_a_dependency_that_stays_away_is_exit_4_after_its_deadline(
    arguments: list[str], settings: dict[str, Any], said: str
) -> None:
    done = run(*arguments, start_timeout_s=0.5, **settings)
    assert (done.code, done.out) == (4, "")
    assert said in done.err.splitlines()[-1]
    assert "secret" not in done.err
    assert "Traceback" not in done.err


def test_an_unknown_variable_is_named_with_its_nearest_neighbour() -> None:
    done = run("settings", kafka_topics="mine")
    assert done.code == 0
    assert done.err == (
        "streamscorer: warning: no setting reads SCORER_KAFKA_TOPICS (did you mean SCORER_KAFKA_TOPIC?)\n"
    )


def test_help_shows_the_variable_and_default_of_every_option_uncut() -> None:
    done = run("publish", "--help")
    text = " ".join(done.out.split())
    assert (done.code, done.err) == (0, "")
    assert "--kafka-bootstrap-servers TEXT host:port of one or more brokers" in text
    assert "(SCORER_KAFKA_BOOTSTRAP_SERVERS)" in text
    assert "Topic that image events arrive on. (SCORER_KAFKA_TOPIC; default image-events)" in text
    assert "Kafka settings:" in done.out


def test_a_missing_checkpoint_is_one_line_and_exit_2(tmp_path: Path) -> None:
    done = run("predict", "samples/cat.png", weights=tmp_path / "none.pt")
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert "none.pt" in done.err
