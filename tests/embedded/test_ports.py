import json
import socket
from pathlib import Path

import pytest

from embedded.ports import HIGHEST, LOWEST, is_free, keep_ports


def test_ports_stay_the_same(tmp_path: Path) -> None:
    first = keep_ports(tmp_path / "ports.json", ("a", "b"))
    assert keep_ports(tmp_path / "ports.json", ("a", "b")) == first
    assert len(set(first.values())) == 2
    assert all(LOWEST <= port < HIGHEST for port in first.values())


def test_a_taken_port_is_replaced_for_good_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = keep_ports(tmp_path / "ports.json", ("a", "b"))
    with socket.create_server(("127.0.0.1", kept["a"])):
        assert not is_free(kept["a"])
        changed = keep_ports(tmp_path / "ports.json", ("a", "b"))
    assert changed["a"] != kept["a"]
    assert changed["b"] == kept["b"]
    assert keep_ports(tmp_path / "ports.json", ("a", "b")) == changed
    said = capsys.readouterr().out
    assert str(kept["a"]) in said
    assert str(changed["a"]) in said


def test_a_port_whose_connections_are_still_closing_counts_as_free(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first keeps the port for a minute
        assert client.recv(1) == b""
        client.close()
    assert is_free(port)


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": "x"}'])
def test_an_unreadable_file_is_made_anew(tmp_path: Path, content: str) -> None:
    file = tmp_path / "ports.json"
    file.write_text(content, encoding="utf-8")
    made = keep_ports(file, ("a",))
    assert json.loads(file.read_text(encoding="utf-8")) == made
