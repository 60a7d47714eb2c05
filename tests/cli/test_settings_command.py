"""`settings` tells what is in force, and where it came from, and never a secret."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from cli.show_settings import shown
from settings import Settings
from tests.cli.commands import run


def test_each_origin_is_told_and_the_stronger_one_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SCORER_TOP_K=3\nSCORER_MAX_BATCH=3\nSCORER_KAFKA_TOPIC=from-file\n")
    (tmp_path / "password").write_text("hush\n")
    done = run(
        "settings", "--json", "--top-k", "7", "--proxy-headers",
        cwd=tmp_path, top_k=5, max_batch=5, kafka_sasl_password_file=tmp_path / "password",
    )  # fmt: skip
    found = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert found["top_k"] == {"value": 7, "from": "option"}
    assert found["proxy_headers"] == {"value": True, "from": "option"}
    assert found["max_batch"] == {"value": 5, "from": "environment"}
    assert found["kafka_topic"] == {"value": "from-file", "from": ".env"}
    assert found["kafka_dlq_topic"] == {"value": "from-file.dlq", "from": "default"}
    assert found["kafka_sasl_password"] == {"value": "***", "from": "file"}
    assert found["device"] == {"value": "auto", "from": "default"}


def test_the_table_has_a_tab_separated_line_for_each_setting() -> None:
    done = run("settings", database_url="postgresql://me:hush@db:5432/scores?sslpassword=hush")
    rows = dict(line.split("\t", 1) for line in done.lines)
    assert rows["SCORER_DATABASE_URL"] == "postgresql://me:***@db:5432/scores\tenvironment"
    assert rows["SCORER_TOP_K"] == "5\tdefault"
    assert set(rows) == {f"SCORER_{name.upper()}" for name in Settings.model_fields}
    assert "hush" not in done.out + done.err


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        ("postgresql://me:p@db/scores", "postgresql://me:***@db/scores"),
        ("postgresql://db/scores?password=p", "***"),
        ("postgresql://me:p/a@ss@db/scores", "***"),
        ("postgresql://me:p#a@db/scores", "***"),
        ("hush", "***"),
    ],
)
def test_a_secret_is_shown_only_as_far_as_it_is_certain_to_be_none(secret: str, expected: str) -> None:
    assert shown(SecretStr(secret)) == expected
