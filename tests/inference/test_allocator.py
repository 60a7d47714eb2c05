"""What a forward pass has freed is there for the next one, without new pages."""

import os
import platform
import subprocess
import sys

import pytest

_BLOCKS = """
import ctypes, resource, threading
import inference

SIZE = 100 * 1024 * 1024
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def layer():
    block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(SIZE)))
    ctypes.memset(block, 1, SIZE)
    libc.free(block)

def layers():
    layer()
    before = faults()
    layer()
    print(faults() - before)

one = threading.Thread(target=layers)
one.start()
one.join()
"""


def faults_of_a_block(**variables: str) -> int:
    """Page faults of 100 MiB that a thread writes to after it has freed as much, in a process with these variables."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", _BLOCKS], env=clean | variables, capture_output=True, text=True, timeout=60, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives large blocks back at once")
def test_memory_is_kept_unless_malloc_is_set_up_by_the_environment() -> None:
    assert faults_of_a_block() < 10
    # Less than the 25,600 pages of 4 KiB where the kernel has larger ones.
    assert faults_of_a_block(MALLOC_ARENA_MAX="2") >= 50
