"""`docker compose --profile monitoring up` has all it needs in the repository, and opens nothing to the outside."""

import re
import shutil
import subprocess
from typing import Any

import pytest

from tests.deploy.files import PROMETHEUS, ROOT, read

SERVICES: dict[str, dict[str, Any]] = read(ROOT / "docker-compose.yml")["services"]
MONITORING = {name: service for name, service in SERVICES.items() if "monitoring" in service.get("profiles", ())}


def test_without_the_profile_nothing_of_it_starts() -> None:
    assert MONITORING.keys() == {"monitor", "prometheus", "grafana"}
    for name, service in SERVICES.items():
        assert name in MONITORING or not service.get("depends_on", {}).keys() & MONITORING.keys()


def test_images_are_pinned_and_ports_are_published_on_loopback_alone() -> None:
    for name, service in SERVICES.items():
        assert service["image"] == "streamscorer" or re.search(r":v?\d+(\.\d+)*$", service["image"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name


def test_every_file_that_is_mounted_is_in_the_repository() -> None:
    mounted = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())]
    assert [path for path in mounted if path.startswith(".") and not (ROOT / path).exists()] == []


def test_prometheus_asks_each_role_on_the_port_that_it_listens_on() -> None:
    (job,) = read(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    asked = {name: found["port"] for found in job["dns_sd_configs"] for name in found["names"]}
    roles = {name: service for name, service in SERVICES.items() if service.get("command", [""])[0] == name}
    assert asked == {name: int(role["environment"].get("SCORER_HEALTH_PORT", "8000")) for name, role in roles.items()}


def test_compose_reads_the_file() -> None:
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False, timeout=60).returncode:
        pytest.skip("docker compose is not installed")
    ended = subprocess.run(
        ["docker", "compose", "--profile", "*", "config", "--quiet"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
