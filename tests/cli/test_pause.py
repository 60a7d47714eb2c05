"""`pause` and `resume` as an operator runs them: twice is harmless, and what else stops the group is said."""

import asyncio
import getpass
import re
import uuid
from typing import Any

import psycopg
import pytest

from broker.topics import create_topics
from cli import pause
from settings import Settings
from tests.cli.commands import run


def test_a_pause_and_its_end_are_said_once_and_again(
    kafka: str, migrated_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"t-{uuid.uuid4().hex[:12]}"
    given: dict[str, Any] = {"kafka_bootstrap_servers": kafka, "kafka_topic": name, "kafka_group_id": "scorers"}
    given["database_url"] = migrated_url
    settings = Settings(**given, _env_file=None)
    asyncio.run(create_topics(settings, max_image_bytes=1000, partitions=1))
    group = f"group scorers on topic {name}"

    done = run("pause", "--why", "broken\x1bdeploy", **given)
    held = rf"paused by {getpass.getuser()} since 20\d\d-\S+Z: broken\ufffddeploy"
    assert done.code == 0, done.err
    assert re.fullmatch(rf"{group} is now {held}\n", done.out)
    capsys.readouterr()
    asyncio.run(pause._pause(settings, "another"))
    assert capsys.readouterr().out == done.out.replace(" now ", " already ")

    with psycopg.connect(migrated_url) as connection:
        connection.execute("UPDATE consumer_groups SET stopped_at = now(), stopped_why = 'far too many'")
    ended = run("resume", **given)
    assert (ended.code, ended.out) == (0, f"{group} may go on\n")
    assert "the limit on dead letters has stopped it since 20" in ended.err
    assert "far too many; `streamscorer dlq resume` lets it go on" in ended.err
    asyncio.run(pause._unpause(settings))
    again = capsys.readouterr()
    assert again.out == f"{group} was not paused\n"
    assert "`streamscorer dlq resume` lets it go on" in again.err

    with psycopg.connect(migrated_url) as connection:
        assert connection.execute("SELECT actor, action, detail->>'group_id' FROM audit ORDER BY id").fetchall() == [
            (getpass.getuser(), "pause", "scorers"),
            (getpass.getuser(), "resume", "scorers"),
        ]
