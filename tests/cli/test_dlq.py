"""`dlq` as a process: what it shows, and that it changes what it was asked to change and nothing else."""

import asyncio
import base64
import getpass
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from schemas.dead_letters import DeadLetter
from schemas.records import Coordinates, Record
from settings import StoreSettings
from store.store import open_store
from telemetry import Metrics
from tests.cli.commands import run
from tests.store.makers import at, dead_letter


def write(url: str, letters: Sequence[DeadLetter]) -> None:
    async def go() -> None:
        async with open_store(StoreSettings(database_url=SecretStr(url)), Metrics(), start_timeout_s=10) as store:
            await store.write([], letters)

    asyncio.run(go())


def table(url: str, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.fixture
def refused(migrated_url: str) -> str:
    """A database with four dead letters; the first of them has been discarded."""
    record = Record(at(3), b"\xffkey", b"payload\x00", (("trace", b"\xff"), ("trace", b"2")))
    letters = [dead_letter(1), dead_letter(2, reason="InvalidEvent", message="a \x1b[31m message")]
    letters += [dead_letter(3, record=record), dead_letter(at(4, topic="others", partition=2))]
    write(migrated_url, letters)
    with psycopg.connect(migrated_url) as connection:
        connection.execute("UPDATE dead_letters SET resolved_at = now(), resolution = 'discarded' WHERE \"offset\" = 1")
    return migrated_url


def listed(url: str, *arguments: object) -> list[int]:
    done = run("dlq", "list", "--json", *arguments, database_url=url)
    assert (done.code, done.err) == (0, "")
    return [json.loads(line)["offset"] for line in done.lines]


def test_the_list_is_newest_first_and_of_what_is_unresolved(refused: str) -> None:
    assert listed(refused) == [4, 3, 2]
    assert listed(refused, "--all", "--limit", 3) == [4, 3, 2]
    assert listed(refused, "--all") == [4, 3, 2, 1]
    assert listed(refused, "--topic", "events", "--partition", 0, "--reason", "InvalidImage") == [3]
    assert listed(refused, "--since", "2999-01-01") == []
    assert listed(refused, "--until", "2999-01-01T00:00:00+01:00", "--reason", "InvalidEvent") == [2]


def test_outside_a_terminal_the_list_is_tab_separated_and_cannot_steer_one(refused: str) -> None:
    done = run("dlq", "list", "--reason", "InvalidEvent", database_url=refused)
    ((_, *rest),) = (line.split("\t") for line in done.lines)
    assert rest == ["events", "0", "2", "InvalidEvent", "-", "a \N{REPLACEMENT CHARACTER}[31m message"]


def test_one_is_shown_whole_and_its_value_as_it_was(refused: str, tmp_path: Path) -> None:
    done = run("dlq", "show", "events", 0, 3, "--json", "--value", tmp_path / "value", database_url=refused)
    assert (done.code, done.err) == (0, f"{tmp_path / 'value'}: 8 bytes\n")
    shown = json.loads(done.out)
    assert (shown["reason"], shown["message"], shown["resolution"]) == ("InvalidImage", "not an image", None)
    assert base64.b64decode(shown["key"]) == b"\xffkey"
    assert [(name, base64.b64decode(value)) for name, value in shown["headers"]] == [
        ("trace", b"\xff"),
        ("trace", b"2"),
    ]
    assert (tmp_path / "value").read_bytes() == b"payload\x00"
    plain = run("dlq", "show", "events", 0, 3, database_url=refused)
    assert plain.code == 0
    assert "headers         trace=b'\\xff' trace=b'2'" in plain.lines
    assert run("dlq", "show", "events", 0, 3, "--value", "-", database_url=refused).out == "payload\x00"


def test_a_place_that_names_two_records_asks_for_the_time(refused: str) -> None:
    again = Coordinates("kafka1", "events", 0, 3, at(3).timestamp_ms + 1500)
    write(refused, [dead_letter(again)])
    done = run("dlq", "show", "events", 0, 3, database_url=refused)
    assert (done.code, done.out) == (2, "")
    assert f"events 0 3 names 2 records: give --record-time with one of {at(3).record_time.isoformat()}" in done.err
    for command in ("show", "discard"):
        chosen = ["events", 0, 3, "--record-time", again.record_time.isoformat()]
        assert run("dlq", command, *chosen, database_url=refused).code == 0
    assert listed(refused) == [4, 3, 2]


def test_discarding_changes_what_was_named_once_and_keeps_who_did_it(refused: str) -> None:
    before = table(refused, 'select * from dead_letters where "offset" <> 3 order by 1, 2, 3, 4')
    dry = run("dlq", "discard", "events", 0, 3, "--dry-run", database_url=refused)
    assert (dry.code, dry.out) == (0, "would be discarded\tevents\t0\t3\t\n")
    assert listed(refused) == [4, 3, 2]
    done = run("dlq", "discard", "events", 0, 3, database_url=refused)
    assert (done.code, done.out, done.err) == (0, "discarded\tevents\t0\t3\t\n", "discarded 1\n")
    again = run("dlq", "discard", "events", 0, 3, database_url=refused)
    assert (again.code, again.out) == (0, "unchanged\tevents\t0\t3\tit is discarded already\n")
    assert table(refused, 'select * from dead_letters where "offset" <> 3 order by 1, 2, 3, 4') == before
    (audit,) = table(refused, "select actor, action, detail from audit")
    assert (audit["actor"], audit["action"]) == (getpass.getuser(), "dlq discard")
    assert (audit["detail"]["topic"], audit["detail"]["offset"]) == ("events", 3)


def test_discarding_by_filter_leaves_the_rest(refused: str) -> None:
    done = run("dlq", "discard", "--reason", "InvalidImage", "--topic", "events", "--json", database_url=refused)
    assert done.code == 0
    assert [json.loads(line)["outcome"] for line in done.lines] == ["discarded"]
    assert listed(refused) == [4, 2]
    (audit,) = table(refused, "select detail from audit")
    assert audit["detail"]["filters"] == {"reason": "InvalidImage", "topic": "events"}
    assert run("dlq", "discard", "--all", database_url=refused).err == "discarded 2\n"
    assert listed(refused) == []
    assert run("dlq", "discard", "--all", database_url=refused).err == "nothing matches\n"


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        ("redrive", [], "say which dead letters"),
        ("discard", [], "say which dead letters"),
        ("discard", ["--all", "--reason", "Conflict"], "one of the three"),
        ("redrive", ["events", 0, "latest"], "give TOPIC PARTITION OFFSET"),
        ("redrive", ["events", 0, 1, "--reason", "Conflict"], "one of the three"),
        ("redrive", ["--all", "--record-time", "2026-01-01"], "--record-time"),
        ("show", ["events", 0, 1, "--record-time", "soon"], "--record-time=soon"),
        ("discard", ["--since", "yesterday"], "--since=yesterday"),
    ],
)
def test_an_unclear_choice_is_wrong_usage(command: str, arguments: list[object], said: str) -> None:
    done = run("dlq", command, *arguments)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert said in done.err


def test_a_place_without_a_dead_letter_is_exit_1(refused: str) -> None:
    for command in ("show", "discard"):
        done = run("dlq", command, "events", 0, 99, database_url=refused)
        assert (done.code, done.out) == (1, "")
        assert "no dead letter at events 0 99" in done.err


def test_a_value_that_nobody_has_any_more_is_exit_1(refused: str, kafka: str) -> None:
    write(refused, [dead_letter(9, record=Record(at(9), None, bytes(300_000), ()))])
    write(refused, [dead_letter(10, record=Record(at(10), None, None, ()))])
    gone = run("dlq", "show", "events", 0, 9, "--value", "-", database_url=refused, kafka_bootstrap_servers=kafka)
    assert (gone.code, gone.out) == (1, "")
    assert "its 300000 bytes are gone" in gone.err
    unread = run("dlq", "show", "events", 0, 10, "--value", "-", database_url=refused)
    assert (unread.code, unread.out) == (1, "")
    assert "could not hand the record over" in unread.err
