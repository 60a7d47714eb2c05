"""Published weights: fetched once, digest checked; unreachable ones give up soon and say what can be done."""

import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server

import pytest

from errors import UsageError, WeightsUnreachable
from inference.published_weights import published_weights

CONTENT = b"weights" * 100_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = f"resnet50-{DIGEST[:8]}.pth"


class Host(BaseHTTPRequestHandler):
    """Serves CONTENT; under /short, half of it; under /gone, nothing."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/gone"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path.startswith("/short") else CONTENT)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name in the base class)
        """Silence."""


@pytest.fixture
def host() -> Iterator[str]:
    Host.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Host) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_fetched_once_then_from_the_cache(host: str, tmp_path: Path) -> None:
    cache = tmp_path / "hub" / "checkpoints"
    assert published_weights(f"{host}/{NAME}", cache).read_bytes() == CONTENT
    assert published_weights(f"{host}/{NAME}", cache).read_bytes() == CONTENT
    assert len(Host.asked) == 1
    assert [path.name for path in cache.iterdir()] == [NAME]


def test_a_damaged_cached_file_is_named(host: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(CONTENT[:-1])
    with pytest.raises(UsageError, match=r"is damaged.*delete it") as refusal:
        published_weights(f"{host}/{NAME}", tmp_path)
    assert str(tmp_path / NAME) in str(refusal.value)


@pytest.mark.parametrize("path", ["short", "gone"])
def test_a_failed_fetch_leaves_nothing_behind_and_says_what_can_be_done(host: str, tmp_path: Path, path: str) -> None:
    with pytest.raises(WeightsUnreachable) as failure:
        published_weights(f"{host}/{path}/{NAME}", tmp_path)
    assert list(tmp_path.iterdir()) == []
    line = str(failure.value)
    assert "\n" not in line
    for help_ in (str(tmp_path / NAME), "SCORER_WEIGHTS=untrained", f"{host}/{path}/{NAME}"):
        assert help_ in line


def test_another_content_than_the_name_says_is_not_kept(host: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnreachable, match=f"has the sha256 {DIGEST[:8]}"):
        published_weights(f"{host}/resnet50-00000000.pth", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_does_not_answer_is_given_up_in_time(tmp_path: Path) -> None:
    with create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(WeightsUnreachable, match=r"no answer within 0\.2 s"):
            published_weights(f"http://127.0.0.1:{silent.getsockname()[1]}/{NAME}", tmp_path, connect_timeout_s=0.2)
        assert time.monotonic() - begun < 5
