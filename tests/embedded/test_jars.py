"""Jars are fetched once, checked, repaired; the tests have a Maven repository of their own with three small ones."""

import asyncio
import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from embedded import jars
from embedded.jars import fetch_jars, locked_jars
from errors import CommandFailed, DependencyAway, UsageError

CONTENT = {f"part-{n}": f"the jar of part {n}".encode() * 50 for n in range(3)}


@dataclass
class Repository:
    """A Maven repository that notes what it is asked for."""

    root: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def file(self, artifact: str) -> Path:
        return self.root / "org" / "example" / artifact / "1.0" / f"{artifact}-1.0.jar"

    def jars_asked(self) -> list[str]:
        return sorted(Path(path).name for path in self.asked if path.endswith(".jar"))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    served = Repository(tmp_path / "repository")
    lines = []
    for artifact, content in CONTENT.items():
        served.file(artifact).parent.mkdir(parents=True)
        served.file(artifact).write_bytes(content)
        lines.append(f"org.example:{artifact}:1.0 {hashlib.sha256(content).hexdigest()}\n")
    (tmp_path / "three.jars").write_text("".join(lines), encoding="ascii")
    monkeypatch.setattr(jars, "LOCK_FILE", tmp_path / "three.jars")
    monkeypatch.setattr(jars, "ATTEMPTS", 1)
    monkeypatch.delenv("KAFKA_HOME", raising=False)

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(served.root))

        def log_message(self, *_: object) -> None:
            served.asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name.removesuffix("-1.0.jar"): path.read_bytes() for path in directory.glob("*.jar")}


def test_the_lock_file_names_the_jars_of_one_kafka() -> None:
    found = locked_jars()
    assert len(found) == len({jar.file for jar in found}) == 47
    assert all(len(jar.sha256) == 64 for jar in found)
    assert {jar.version for jar in found if jar.group == "org.apache.kafka"} == {"4.3.1"}


async def test_jars_are_fetched_with_progress_and_then_never_again(repository: Repository, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    cache = tmp_path / "a cache"
    directory = await fetch_jars(cache, repository.url + "/", lambda done, of: seen.append((done, of)))
    assert contents(directory) == CONTENT
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    repository.asked.clear()
    seen.clear()
    assert await fetch_jars(cache, "http://127.0.0.1:1", lambda done, of: seen.append((done, of))) == directory
    assert (repository.asked, seen) == ([], [])


@pytest.mark.parametrize("damage", ["emptied", "shortened", "changed", "removed"])
async def test_a_damaged_jar_is_repaired_alone(repository: Repository, tmp_path: Path, damage: str) -> None:
    directory = await fetch_jars(tmp_path, repository.url)
    jar = directory / "part-1-1.0.jar"
    if damage == "removed":
        jar.unlink()
    else:
        good = jar.read_bytes()
        jar.write_bytes({"emptied": b"", "shortened": good[:-1], "changed": good[:-1] + b"!"}[damage])
        os.utime(jar, ns=(0, 0))  # a clock too coarse to tell the two writes apart is not what is tested
    repository.asked.clear()
    await fetch_jars(tmp_path, repository.url)
    assert contents(directory) == CONTENT
    assert repository.jars_asked() == ["part-1-1.0.jar"]


async def test_what_a_killed_fetch_left_is_used_or_removed(repository: Repository, tmp_path: Path) -> None:
    directory = tmp_path / "three"
    (directory / ".fetching-abc").mkdir(parents=True)
    (directory / "part-0-1.0.jar").write_bytes(CONTENT["part-0"])
    (directory / "part-1-1.0.jar").write_bytes(CONTENT["part-1"][:10])
    await fetch_jars(tmp_path, repository.url)
    assert contents(directory) == CONTENT
    assert repository.jars_asked() == ["part-1-1.0.jar", "part-2-1.0.jar"]
    assert not list(directory.glob(".fetching-*"))


async def test_two_fetches_into_one_cache_fetch_each_jar_once(repository: Repository, tmp_path: Path) -> None:
    await asyncio.gather(*(fetch_jars(tmp_path, repository.url) for _ in range(3)))
    assert contents(tmp_path / "three") == CONTENT
    assert len(repository.jars_asked()) == 3


async def test_a_jar_that_cannot_be_had_is_named_with_ways_on(repository: Repository, tmp_path: Path) -> None:
    repository.file("part-2").unlink()
    with pytest.raises(DependencyAway) as raised:
        await fetch_jars(tmp_path, repository.url)
    for words in ("part-2-1.0.jar", repository.url, "SCORER_MAVEN_MIRROR", "KAFKA_HOME"):
        assert words in str(raised.value)
    repository.file("part-2").write_bytes(CONTENT["part-2"])
    assert contents(await fetch_jars(tmp_path, repository.url)) == CONTENT


async def test_another_file_than_the_locked_one_is_refused(repository: Repository, tmp_path: Path) -> None:
    repository.file("part-2").write_bytes(b"something else")
    with pytest.raises(CommandFailed, match=r"part-2-1\.0\.jar .* is not the file that was asked for"):
        await fetch_jars(tmp_path, repository.url)
    assert not (tmp_path / "three" / "part-2-1.0.jar").exists()


async def test_kafka_home_stands_in(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path / "kafka"))
    with pytest.raises(UsageError, match="holds no Kafka 4"):
        await fetch_jars(tmp_path, repository.url)
    (tmp_path / "kafka" / "libs").mkdir(parents=True)
    (tmp_path / "kafka" / "libs" / "kafka_2.13-4.3.1.jar").write_bytes(b"")
    assert await fetch_jars(tmp_path, repository.url) == tmp_path / "kafka" / "libs"
    assert repository.asked == []
