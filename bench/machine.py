"""What a reader must know of the machine to read the figures."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from inference.cores import usable_cores

PACKAGES = ("torch", "torchvision", "openvino", "nncf", "pillow", "aiokafka", "psycopg", "fastapi", "uvicorn")


def facts() -> dict[str, object]:
    """Processor, cores, memory, GPU and versions."""
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "cuda": cuda_device(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of what is installed and weighs on the figures."""
    return {name: found for name in PACKAGES if (found := _version(name))}


def cuda_device() -> str | None:
    """Name of the first CUDA device as its driver tells it."""
    if (program := shutil.which("nvidia-smi")) is None:
        return None
    asked = [program, "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout.strip() else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
