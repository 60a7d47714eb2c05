"""`lag` as a check: what it prints, its exit codes, and that it says what kept it from knowing."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import time
import uuid

import pytest
from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition

from broker.topics import create_topics
from cli.lag import _show_lines, sparkline
from cli.main import main
from errors import BrokerUnavailable
from monitor.watcher import Watcher
from settings import KafkaSettings, MonitorSettings
from tests.cli.commands import ROOT, command_line, environment
from tests.kafka_tools import publish
from tests.monitor.histories import History, partition, said
from tests.waiting import eventually


@pytest.fixture
def settings(kafka: str, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    name = f"l-{uuid.uuid4().hex[:12]}"
    made = KafkaSettings(kafka_bootstrap_servers=kafka, kafka_topic=name, kafka_group_id=name)
    monkeypatch.setenv("SCORER_KAFKA_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("SCORER_KAFKA_TOPIC", name)
    monkeypatch.setenv("SCORER_KAFKA_GROUP_ID", name)
    asyncio.run(_fill(made))
    return made


async def _fill(settings: KafkaSettings) -> None:
    """Two partitions with three records each."""
    await create_topics(settings, max_image_bytes=2**20, partitions=2)
    assert settings.kafka_bootstrap_servers is not None
    await publish(settings.kafka_bootstrap_servers, settings.kafka_topic, [(b"x", [])] * 6)


def commit(settings: KafkaSettings, *offsets: int, metadata: str = "") -> None:
    async def commit_all() -> None:
        async with AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap_servers, group_id=settings.kafka_group_id,
            enable_auto_commit=False,
        ) as consumer:  # fmt: skip
            partitions = [TopicPartition(settings.kafka_topic, number) for number in range(len(offsets))]
            consumer.assign(partitions)
            await consumer.commit(
                {tp: OffsetAndMetadata(offset, metadata) for tp, offset in zip(partitions, offsets, strict=True)}
            )

    asyncio.run(commit_all())


def lag(*arguments: str) -> int:
    """The exit code of `streamscorer lag`."""
    with pytest.raises(SystemExit) as left:
        main(["lag", *arguments])
    assert isinstance(left.value.code, int)
    return left.value.code


def test_the_verdict_comes_first_and_the_worst_partition_next(
    settings: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(settings, 3, 1, metadata=said(time.time() - 100, open=False))
    assert lag() == 2
    verdict, worst, best = capsys.readouterr().out.splitlines()
    assert verdict.startswith("STOP: 2 records behind (the oldest waits for ")
    assert f" in {settings.kafka_topic}/1: no consumer is running since " in verdict
    assert worst.split("\t")[:3] == ["STOP", f"{settings.kafka_topic}/1", "2"]
    assert best.split("\t")[:3] == ["OK", f"{settings.kafka_topic}/0", "0"]


def test_json_has_the_names_of_the_contract(settings: KafkaSettings, capsys: pytest.CaptureFixture[str]) -> None:
    commit(settings, 3, 3)
    assert lag("--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    report = json.loads(line)
    assert report.keys() >= {
        "group_id", "status", "reason", "lag", "time_lag_s", "eta_s", "consumed_per_s", "produced_per_s", "partitions",
    }  # fmt: skip
    assert report["partitions"][0].keys() >= {
        "topic", "partition", "status", "reason", "lag", "time_lag_s", "committed_offset", "end_offset", "owner",
        "last_commit_age_s",
    }  # fmt: skip
    assert (report["group_id"], report["status"], report["lag"]) == (settings.kafka_group_id, "OK", 0)


def test_a_group_that_is_not_ours_is_looked_at_on_all_that_it_has_committed(
    settings: KafkaSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(settings, 3, 1)
    monkeypatch.setenv("SCORER_KAFKA_TOPIC", "another")
    monkeypatch.setenv("SCORER_KAFKA_GROUP_ID", "ours")
    assert lag("--group-id", settings.kafka_group_id) == 2
    assert f"{settings.kafka_topic}/1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SCORER_KAFKA_GROUP_ID", "nobody", "consumer group nobody does not exist on 127.0.0.1:"),
        ("SCORER_KAFKA_TOPIC", "no-such", "topic no-such does not exist on 127.0.0.1:"),
        ("SCORER_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1", "Kafka at 127.0.0.1:1 (SCORER_KAFKA_BOOTSTRAP_SERVERS) does"),
        ("SCORER_KAFKA_BOOTSTRAP_SERVERS", "", "SCORER_KAFKA_BOOTSTRAP_SERVERS is not set"),
        ("SCORER_LAG_INTERVAL_S", "0", "SCORER_LAG_INTERVAL_S=0: "),
    ],
)
def test_what_kept_it_from_knowing_is_one_line_and_exit_3(
    settings: KafkaSettings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    variable: str, value: str, words: str,
) -> None:  # fmt: skip
    commit(settings, 3, 3)
    monkeypatch.setenv(variable, value)
    assert lag() == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"streamscorer: error: {words}")
    assert err.count("\n") == 1


def test_a_wrong_option_and_a_bug_are_no_answer_either(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lag("--no-such-option") == 3
    monkeypatch.setattr("cli.lag._look", lambda *_: 1 / 0)
    assert lag() == 3
    assert "ZeroDivisionError" in capsys.readouterr().err


async def test_watch_tells_each_look(kafka: str, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = MonitorSettings(kafka_bootstrap_servers="127.0.0.1:1", kafka_group_id="g", lag_interval_s=0.5)
    watcher = Watcher(nowhere)
    showing = asyncio.create_task(_show_lines(watcher, as_json=True))
    await asyncio.sleep(0)
    watcher._succeeded(History().look(partition(7, 7)))
    await eventually(lambda: '"status":"OK"' in capsys.readouterr().out)
    watcher._failed(BrokerUnavailable("away"))
    await eventually(lambda: "the lag is not known since" in capsys.readouterr().err)
    showing.cancel()


def test_on_a_terminal_watch_draws_a_table_with_curves_until_ctrl_c(settings: KafkaSettings) -> None:
    commit(settings, 3, 0)
    shown, code = _on_a_terminal("lag", "--watch", until="▁")
    assert code == 130
    assert "STOP: 3 records behind" in shown
    assert "REASON" in shown


def _on_a_terminal(*arguments: str, until: str) -> tuple[str, int]:
    ours, theirs = pty.openpty()
    env = environment(lag_interval_s=0.5) | {"COLUMNS": "160", "LINES": "40", "TERM": "xterm"}
    process = subprocess.Popen(command_line(*arguments), cwd=ROOT, env=env, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = ""
    try:
        while until not in shown:
            shown += os.read(ours, 65536).decode(errors="replace")
    finally:
        process.send_signal(signal.SIGINT)
        os.set_blocking(ours, False)
        code = process.wait(timeout=20)
        os.close(ours)
    return shown, code


def test_a_curve_has_its_greatest_value_at_the_top() -> None:
    assert sparkline([0, 2, 8]) == "▁▃█"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([]) == ""
