"""One thread computes with several: the pool of another one would let it sleep between the layers of each pass."""

import subprocess
import sys
from pathlib import Path

import pytest

_MEASURE = """
import asyncio, os, sys, threading
import numpy as np
import torch
from PIL import Image
from inference.core import open_core
from settings import load
from telemetry import Metrics
from tests.inference.pictures import encode

named = {"engine": "torch", "precision": "fp32", "threads": 3}
settings = load({"weights": sys.argv[1], "cache_dir": sys.argv[2], **named})
picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (1600, 2000, 3), dtype=np.uint8))

def helpers():
    return len(os.listdir("/proc/self/task")) - threading.active_count()

def pool():
    torch.set_num_threads(3)
    torch.rand(1000, 1000).add(1)
    print(helpers())

async def main():
    one = threading.Thread(target=pool)
    one.start()
    one.join()
    async with open_core(settings, Metrics()) as core:
        for quality in (50, 60, 70):
            await core.score(encode(picture, "JPEG", quality=quality), "interactive")
            await core.score_all([encode(picture, "JPEG", quality=quality + n) for n in range(1, 5)])
        print(helpers())

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads of a process by /proc")
def test_only_the_device_thread_has_a_pool_of_torch_threads(checkpoint: Path, tmp_path: Path) -> None:
    """Neither loading nor resizing large pictures in the decode threads leaves one behind."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(checkpoint), str(tmp_path)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    one_pool, with_a_core = (line for line in done.stdout.splitlines() if line.isdigit())
    assert with_a_core == one_pool
