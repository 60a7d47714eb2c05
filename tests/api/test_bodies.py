"""Sizes are bounded while a body streams: what is over the limit is refused before it is all there."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from api import bodies
from tests.api.answers import problem
from tests.api.conftest import MAX_IMAGE_BYTES

pytestmark = pytest.mark.asyncio(loop_scope="session")
CHUNK = bytes(64 * 1024)


class Endless:
    """A body without end or declared length, which counts what was taken of it."""

    def __init__(self, start: bytes) -> None:
        self.taken = 0
        self._start = start

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._start
        while True:
            self.taken += len(CHUNK)
            yield CHUNK


@pytest.mark.parametrize(
    ("content_type", "start"),
    [
        ("image/png", b"\x89PNG"),
        ("application/json", b'{"image_base64": "'),
        ("multipart/form-data; boundary=cut", b'--cut\r\nContent-Disposition: form-data; name="file"\r\n\r\n'),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/events"])
async def test_endless_body_is_refused(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str, content_type: str, start: bytes
) -> None:
    monkeypatch.setattr(bodies, "_DISCARD_BYTES", 10 * len(CHUNK))
    body = Endless(start)
    answer = await client.post(path, content=body, headers={"content-type": content_type})
    problem(answer, 413, "body-too-large", "more bytes")
    assert body.taken < 2 * MAX_IMAGE_BYTES + 20 * len(CHUNK)
    assert answer.headers["connection"] == "close"


async def test_declared_length_is_refused_before_a_byte_is_read(client: httpx.AsyncClient) -> None:
    body = Endless(b"")
    headers = {"content-length": str(10**12), "expect": "100-continue"}
    problem(await client.post("/predict", content=body, headers=headers), 413, "body-too-large", str(10**12))
    assert body.taken == 0


async def test_slow_endless_body_is_cut_off(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_DISCARD_S", 0.05)

    async def trickle() -> AsyncIterator[bytes]:
        yield bytes(MAX_IMAGE_BYTES + 1)
        while True:
            await asyncio.sleep(0.005)  # a peer that sends slowly
            yield b"x"

    began = time.monotonic()
    problem(await client.post("/predict", content=trickle()), 413, "body-too-large")
    assert time.monotonic() - began < 20
