"""Fetch Kafka's jars from Maven Central, once, and check each against the lock file beside this module."""

import asyncio
import hashlib
import json
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from embedded.files import scratch_directory, write_whole
from embedded.locks import take_turns
from errors import CommandFailed, DependencyAway, UsageError

LOCK_FILE = Path(__file__).with_name("kafka-4.3.1.jars")
MARKER = "verified.json"
AT_ONCE, ATTEMPTS, TIMEOUT_S = 8, 3, 20
WAYS_ON = (
    "set SCORER_MAVEN_MIRROR to a Maven repository that this machine reaches, KAFKA_HOME to an unpacked Kafka 4, "
    "or SCORER_KAFKA_BOOTSTRAP_SERVERS to a broker that runs"
)

Progress = Callable[[int, int], None]
"""Called with the number of jars that are there, and of all."""


@dataclass(frozen=True)
class Jar:
    """One line of the lock file."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def locked_jars(lock_file: Path | None = None) -> list[Jar]:
    """The jars that a lock file names: by default those that make up the broker."""
    lines = (lock_file or LOCK_FILE).read_text(encoding="ascii").splitlines()
    return [Jar(*line.replace(" ", ":").split(":", 3)) for line in lines if line]


async def fetch_jars(cache_dir: Path, mirror: str | None = None, progress: Progress | None = None) -> Path:
    """The directory that holds Kafka's jars: `libs` of KAFKA_HOME where that is set, else one below `cache_dir`.

    Else as `fetch_locked`.
    """
    if home := os.environ.get("KAFKA_HOME"):
        return _libs(Path(home))
    return await fetch_locked(LOCK_FILE, cache_dir, mirror, progress)


async def fetch_locked(
    lock_file: Path, cache_dir: Path, mirror: str | None = None, progress: Progress | None = None
) -> Path:
    """The directory below `cache_dir` that holds the jars of `lock_file`, and is named as it.

    What is missing or damaged there is fetched from `mirror` or Maven Central; otherwise the network is not touched.
    DependencyAway when a jar cannot be had, CommandFailed when what came is not the jar that was asked for.
    """
    jars, directory = locked_jars(lock_file), cache_dir / lock_file.stem
    if _is_verified(directory, jars):
        return directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"SCORER_CACHE_DIR={cache_dir} cannot be used: {error.strerror}") from error
    async with take_turns(directory / "lock"):
        if not _is_verified(directory, jars):
            await _complete(directory, jars, mirror, progress or (lambda _done, _all: None))
    return directory


def _libs(home: Path) -> Path:
    libs = home / "libs"
    if not any(libs.glob("kafka_2.13-[4-9].*.jar")):
        raise UsageError(
            f"KAFKA_HOME={home} holds no Kafka 4 or newer (no libs/kafka_2.13-4.*.jar): unset it, or name one"
        )
    return libs


async def _complete(directory: Path, jars: list[Jar], mirror: str | None, progress: Progress) -> None:
    damaged = await asyncio.to_thread(lambda: [jar for jar in jars if _digest(directory / jar.file) != jar.sha256])
    done = len(jars) - len(damaged)
    if damaged:
        progress(done, len(jars))
    pool, given_up = ThreadPoolExecutor(AT_ONCE, "jars"), threading.Event()

    async def get(jar: Jar, scratch: Path) -> None:
        nonlocal done
        fetched = await asyncio.get_running_loop().run_in_executor(pool, _fetch, jar, scratch, mirror, given_up)
        fetched.replace(directory / jar.file)
        done += 1
        progress(done, len(jars))

    try:
        with scratch_directory(directory, ".fetching-") as scratch:
            async with asyncio.TaskGroup() as group:
                for jar in damaged:
                    group.create_task(get(jar, scratch))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    finally:
        # A download under way ends by itself within its timeout; nothing else is begun.
        given_up.set()
        pool.shutdown(wait=False, cancel_futures=True)
    write_whole(directory / MARKER, json.dumps({jar.file: _stamp(directory / jar.file) for jar in jars}))


def _fetch(jar: Jar, scratch: Path, mirror: str | None, given_up: threading.Event) -> Path:
    """Blocking: download into a directory of its own, and check."""
    if find_spec("jgo") is None:
        raise CommandFailed(
            f"Kafka's jars cannot be fetched without the package jgo: install streamscorer[embedded], or {WAYS_ON}"
        )
    from jgo.maven import MavenContext

    remote = {"mirror": mirror.rstrip("/")} if mirror else None
    for attempt in range(1, ATTEMPTS + 1):
        context = MavenContext(repo_cache=scratch / f"{jar.file}-{attempt}", remote_repos=remote, timeout=TIMEOUT_S)
        try:
            fetched = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
            break
        except (OSError, RuntimeError) as error:
            if attempt == ATTEMPTS or given_up.wait(attempt):
                source = mirror or "Maven Central"
                raise DependencyAway(f"{jar.file} cannot be fetched from {source} ({error}): {WAYS_ON}") from error
    if (digest := _digest(fetched)) != jar.sha256:
        raise CommandFailed(
            f"{jar.file} from {mirror or 'Maven Central'} is not the file that was asked for (SHA-256 {digest}, "
            f"expected {jar.sha256}): a proxy or a mirror has changed it; {WAYS_ON}"
        )
    return fetched


def _is_verified(directory: Path, jars: list[Jar]) -> bool:
    """Whether every jar is the one whose digest was right when it was last looked at: same size, same time."""
    try:
        marked = json.loads((directory / MARKER).read_text(encoding="utf-8"))
        return bool(marked == {jar.file: _stamp(directory / jar.file) for jar in jars})
    except (OSError, ValueError):
        return False


def _stamp(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def _digest(file: Path) -> str | None:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        return None
