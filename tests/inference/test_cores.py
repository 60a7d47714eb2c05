"""Usable cores: never more than a container's quota allows."""

import os
from pathlib import Path

import pytest

from inference.cores import usable_cores

ALL = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores(tmp_path: Path, quotas: dict[str, str], member: str = "0::/app/web\n") -> int:
    (tmp_path / "membership").write_text(member, encoding="ascii")
    for group, content in quotas.items():
        folder = tmp_path / "cgroup" / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cpu.max").write_text(content, encoding="ascii")
    return usable_cores(tmp_path / "cgroup", tmp_path / "membership")


@pytest.mark.parametrize(
    ("quotas", "expected"),
    [
        ({}, ALL),
        ({"app/web": "max 100000\n"}, ALL),
        ({"app/web": "100000 100000\n"}, 1),
        ({"app/web": "50000 100000\n"}, 1),
        ({"app": "190000 100000\n", "app/web": "max 100000\n"}, 1),
        ({"": "150000 100000\n"}, 1),
        ({"app/web": "100000000 100000\n"}, ALL),
        ({"app/web": "nonsense"}, ALL),
    ],
)
def test_the_least_quota_of_our_groups_counts(tmp_path: Path, quotas: dict[str, str], expected: int) -> None:
    assert cores(tmp_path, quotas) == expected


def test_without_cgroups_of_version_2_affinity_counts(tmp_path: Path) -> None:
    assert cores(tmp_path, {}, member="1:cpu:/app\n") == ALL
    assert usable_cores(tmp_path / "none", tmp_path / "none") == ALL
