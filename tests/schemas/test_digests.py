"""Digests are those of hashlib, whichever way they are made."""

import hashlib
import os

import pytest

from schemas.digests import sha256_hex


@pytest.mark.parametrize(
    "size", [0, 1, 2046, 2047, 2048, 4094, 4095, 128 * 1024 - 1, 128 * 1024, 128 * 1024 + 1, 2**20]
)
def test_a_digest_is_that_of_the_whole(size: int) -> None:
    data = os.urandom(size)
    assert sha256_hex(data) == hashlib.sha256(data).hexdigest()
