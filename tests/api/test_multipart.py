"""Forms: whatever the cut between chunks, parts come out whole; what is no form is refused as such."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.multipart import MAX_PARTS, Part, read_parts
from api.problems import InvalidParameter, MalformedRequest

HEAD = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="cat.png"\r\nContent-Type: image/png\r\n\r\n'
FORM = "multipart/form-data; boundary=cut"


async def in_pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def read(body: bytes, content_type: str = FORM, size: int = 1 << 16) -> list[Part]:
    return asyncio.run(read_parts(in_pieces(body, size), content_type))


@given(files=st.lists(st.binary(max_size=200), min_size=1, max_size=4), size=st.integers(1, 300))
def test_parts_survive_any_cut(files: list[bytes], size: int) -> None:
    request = httpx.Request("POST", "http://x", files=[("files", (f"{n}.png", data)) for n, data in enumerate(files)])
    parts = read(request.read(), request.headers["content-type"], size)
    assert [bytes(part.data) for part in parts] == files
    assert [(part.name, part.filename) for part in parts] == [("files", f"{n}.png") for n in range(len(files))]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", FORM),
        (b"no form at all", FORM),
        (HEAD + b"half a picture", FORM),
        (HEAD + b"another boundary\r\n--tuc--\r\n", FORM),
        (HEAD + b"x\r\n--cut--\r\n", "multipart/form-data"),
        (HEAD + b"x\r\n--cut--\r\n", "multipart/form-data; boundary=" + "x" * 1000),
        (b"--cut\r\nno header\r\n\r\nx\r\n--cut--\r\n", FORM),
        (b"--cut\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\nx\r\n--cut--\r\n", FORM),
    ],
    ids=["empty", "text", "cut off", "other boundary", "no boundary", "long boundary", "no header", "long header"],
)
def test_a_broken_form_is_malformed(body: bytes, content_type: str) -> None:
    with pytest.raises(MalformedRequest):
        read(body, content_type)


def test_the_number_of_parts_is_bounded() -> None:
    with pytest.raises(InvalidParameter, match=str(MAX_PARTS)):
        read((HEAD + b"x\r\n") * (MAX_PARTS + 1) + b"--cut--\r\n")


@given(body=st.binary(max_size=300), size=st.integers(1, 50))
def test_garbage_is_never_anything_but_malformed(body: bytes, size: int) -> None:
    with contextlib.suppress(MalformedRequest, InvalidParameter):
        read(b"--cut\r\n" + body, size=size)
