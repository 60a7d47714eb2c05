"""Read a request's body without ever holding more of it than its limit."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import Request

from api.problems import BodyTooLarge, MalformedRequest

JSON_OVERHEAD = 16 * 1024
"""Room for what stands around an image in JSON."""
MULTIPART_OVERHEAD = 64 * 1024
"""Room for boundaries and headers of parts."""
BATCH_FACTOR = 8
"""A batch may hold this many images of the largest size, or more smaller ones."""
_DISCARD_BYTES = 64 * 1024 * 1024
_DISCARD_S = 5.0


def content_type(request: Request) -> str:
    """Media type in lower case without parameters; empty where there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def is_json(media_type: str) -> bool:
    return media_type == "application/json" or media_type.endswith("+json")


def json_limit(image_bytes: int) -> int:
    """What an image of `image_bytes` takes as base64 in JSON."""
    return (image_bytes + 2) // 3 * 4 + JSON_OVERHEAD


async def read_body(request: Request, limit: int) -> bytes:
    """The body, at most `limit` bytes. Raises BodyTooLarge, and MalformedRequest when it is empty."""
    body = b"".join([chunk async for chunk in chunks(request, limit)])
    if not body:
        raise MalformedRequest("the body is empty: send an image, a form with a file, or JSON (see /docs)")
    return body


async def chunks(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body in pieces. Raises BodyTooLarge by its declared length before the first, else as soon as it is over."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        await _discard(request)
        raise _too_large(f"{int(declared)} bytes", limit)
    seen = 0
    async for chunk in request.stream():
        seen += len(chunk)
        if seen > limit:
            await _discard(request)
            raise _too_large("more bytes", limit)
        yield chunk


def _too_large(size: str, limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body has {size}, the limit here is {limit} (it follows SCORER_MAX_IMAGE_BYTES)", limit_bytes=limit
    )


async def _discard(request: Request) -> None:
    """Let a client that writes before it reads get to our answer: closing on it at once would reset the connection.

    Bounded in bytes and time, nothing is kept; a client that asked first (Expect: 100-continue) has sent nothing.
    """
    if request.headers.get("expect"):
        return
    left = _DISCARD_BYTES
    try:
        async with asyncio.timeout(_DISCARD_S):
            while left > 0:
                message = await request.receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return
