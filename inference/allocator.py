"""What the C library does with memory that a forward pass has freed."""

import ctypes
import os
from typing import Final

# From glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_MIB: Final = 1024 * 1024
_KEPT: Final = ((_M_MMAP_THRESHOLD, 1024 * _MIB), (_M_TRIM_THRESHOLD, 512 * _MIB), (_M_ARENA_MAX, 1))


def keep_freed_memory() -> None:
    """Let the next forward pass take what the last one freed, instead of new pages that the kernel has to clear.

    Activations of a batch are blocks of tens of megabytes, which glibc by default gives back to the kernel at once:
    7,000 to 14,000 page faults an image. So it keeps up to 512 MiB, in one heap, since those of single threads hold no
    block above 64 MiB: call it before there is a second thread. Whoever has set malloc up by the environment keeps
    that; other C libraries are left alone.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _KEPT:
            mallopt(parameter, value)
