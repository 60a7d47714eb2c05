"""The container's health check tells a ready service from one that is not."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from cli.healthcheck import main


class _Health(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("variable", ["SCORER_HEALTH_PORT", "SCORER_PORT"])
def test_a_ready_service_is_healthy(port: int, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, str(port))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert main() == 0


def test_one_that_is_not_ready_is_not(
    port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SCORER_HEALTH_PORT", str(port))
    monkeypatch.setattr(_Health, "status", 503)
    assert main() == 1
    assert "503" in capsys.readouterr().err


def test_one_that_does_not_answer_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCORER_HEALTH_PORT", "9")
    assert main() == 1
