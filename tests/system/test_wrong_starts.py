"""Wrong starts: one clear line on stderr, nothing on stdout, the right exit code."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.system.processes import Command, command


async def refused(*arguments: str, settings: dict[str, Any]) -> tuple[int, str]:
    """Exit code and the one error line."""
    started: Command
    async with command(*arguments, settings=settings) as started:
        code = await started.end()
    errors = [line for line in started.stderr if line.startswith("streamscorer: error:")]
    assert started.stdout == []
    assert len(errors) == 1, started.stderr
    assert not any("Traceback" in line for line in started.stderr)
    return code, errors[0]


async def test_a_wrong_value_is_named_with_what_is_allowed() -> None:
    code, line = await refused("consumer", settings={"precision": "int4"})
    assert (code, line) == (
        2,
        "streamscorer: error: SCORER_PRECISION=int4: Input should be 'auto', 'fp32', 'bf16', 'fp16' or 'int8'",
    )


async def test_options_that_contradict_each_other_are_named() -> None:
    code, line = await refused("consumer", "--kafka-sasl-mechanism", "PLAIN", settings={})
    assert code == 2
    assert "KAFKA_SASL_MECHANISM=PLAIN contradicts" in line


async def test_traces_that_cannot_be_sent_as_asked_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    code, line = await refused("publish", "x.png", settings={"kafka_bootstrap_servers": "127.0.0.1:9"})
    assert (code, line) == (
        2,
        "streamscorer: error: OTEL_EXPORTER_OTLP_PROTOCOL=grpc: it must be http/protobuf",
    )


async def test_a_missing_checkpoint_is_named(scorer_settings: dict[str, Any], tmp_path: Path) -> None:
    missing = tmp_path / "no-such.pt"
    code, line = await refused("consumer", settings=scorer_settings | {"weights": missing})
    assert code == 2
    assert f"SCORER_WEIGHTS={missing}" in line


async def test_a_missing_topic_names_the_command_that_mends_it(scorer_settings: dict[str, Any]) -> None:
    code, line = await refused("consumer", settings=scorer_settings | {"kafka_topic": "no-such-topic"})
    assert code == 2
    assert "no-such-topic" in line
    assert "`streamscorer topics create`" in line


async def test_a_schema_that_is_behind_names_the_command_that_mends_it(
    scorer_settings: dict[str, Any], database_url: str
) -> None:
    empty = database_url.split("?", maxsplit=1)[0] + "?options=-csearch_path%3Dpg_temp,public"
    code, line = await refused("api", settings=scorer_settings | {"database_url": empty, "port": 0})
    assert code == 2
    assert "`streamscorer migrate`" in line


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        pytest.param("database_url", "postgresql://u:secret@127.0.0.1:1/d", marks=pytest.mark.soak),
        ("kafka_bootstrap_servers", "127.0.0.1:1"),
    ],
)
async def test_a_dependency_that_stays_away_ends_the_start_at_its_deadline(
    scorer_settings: dict[str, Any], setting: str, value: str
) -> None:
    began = time.monotonic()
    code, line = await refused("consumer", settings=scorer_settings | {setting: value, "start_timeout_s": 2})
    assert code == 4
    assert "127.0.0.1:1" in line
    assert "secret" not in line
    assert 1.9 < time.monotonic() - began < 40
