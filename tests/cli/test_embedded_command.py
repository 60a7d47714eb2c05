"""`embedded` in the foreground: two settings on stdout, answering, and gone after a signal."""

import signal
import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.cli.commands import command_line, environment, run


def test_embedded_prints_two_settings_that_work_until_it_is_told_to_stop(tmp_path: Path, jars: Path) -> None:
    running = subprocess.Popen(
        command_line("embedded", "--data-dir", tmp_path / "a b"),
        env=environment(cache_dir=jars.parent),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert running.stdout is not None
    found = dict(running.stdout.readline().strip().split("=", 1) for _ in range(2))
    assert list(found) == ["SCORER_KAFKA_BOOTSTRAP_SERVERS", "SCORER_DATABASE_URL"]
    servers, url = found.values()
    assert run("migrate", database_url=url).lines == ["applied 0001", "applied 0002", "applied 0003"]
    assert run("topics", "create", kafka_bootstrap_servers=servers).code == 0
    running.send_signal(signal.SIGTERM)
    rest, _ = running.communicate(timeout=60)
    assert (running.returncode, rest) == (0, "")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=5)
