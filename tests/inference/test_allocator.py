"""A forward pass computes in the memory of the one before it."""

import os
import platform
import subprocess
import sys

import pytest

_PASSES = """
import asyncio, resource
import inference
import torch

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def passes(count):
    for _ in range(count):
        # What a layer does in a batch of 32: half a gigabyte that is gone with the next one.
        one = torch.ones(32, 64, 112, 112)
        one + one

async def main():
    await asyncio.to_thread(passes, 30)
    before = faults()
    await asyncio.to_thread(passes, 10)
    print((faults() - before) // 10)

asyncio.run(main())
"""


def faults_of_a_pass(**variables: str) -> int:
    """Of a process with these variables, in a thread that is not its first."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", _PASSES], env=clean | variables, capture_output=True, text=True, timeout=60, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives large blocks back at once")
def test_memory_is_kept_unless_malloc_is_set_up_by_the_environment() -> None:
    assert faults_of_a_pass() < 100
    # 205 MB in pages of 4 KiB; fewer where the kernel has larger ones.
    assert faults_of_a_pass(MALLOC_ARENA_MAX="2") > 100
