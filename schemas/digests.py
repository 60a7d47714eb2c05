"""SHA-256 of encoded images, without waiting for the interpreter's lock."""

import hashlib

_UNDER_THE_LOCK = 128 * 1024
"""Bytes that are hashed while the lock is kept: a tenth of a millisecond."""
_PIECE = 2047
"""The largest piece for which hashlib does not give the lock away."""


def sha256_hex(data: bytes) -> str:
    """Lower hex.

    hashlib gives the interpreter's lock away for anything larger than 2 KiB, and in a thread beside a busy event loop
    getting it back takes up to five milliseconds (`sys.getswitchinterval`). What is hashed in less keeps it.
    """
    if len(data) > _UNDER_THE_LOCK:
        return hashlib.sha256(data).hexdigest()
    digest, view = hashlib.sha256(), memoryview(data)
    for at in range(0, len(data), _PIECE):
        digest.update(view[at : at + _PIECE])
    return digest.hexdigest()
