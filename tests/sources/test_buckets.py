"""s3://: what each answer means, and that only allowed buckets are asked."""

import asyncio
from collections.abc import Iterator

import pytest

from errors import SourceNotFound, SourceRefused, SourceUnavailable, UsageError
from schemas.events import ImageRef
from settings import SourceSettings
from sources.fetcher import open_fetcher
from sources.limits import FetchLimits
from tests.sources.buckets import point_to, s3_server
from tests.sources.web_server import Script, Send, answer, web_server

PICTURE = b"\xff\xd8\xff picture"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server({"photos": {"deep/a%20b%25.jpg": PICTURE}, "private": {"cat.jpg": PICTURE}}) as address:
        yield address


async def fetch(uri: str, *buckets: str, limits: FetchLimits | None = None) -> bytes:
    async with open_fetcher(SourceSettings(uri_s3_buckets=buckets), limits=limits) as source:
        return await source.fetch(ImageRef(uri))


async def test_a_key_stands_in_the_address_as_it_is(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    point_to(endpoint, monkeypatch)
    assert await fetch("s3://photos/deep/a b%.jpg", "photos") == PICTURE
    with pytest.raises(SourceNotFound):
        await fetch("s3://photos/deep/a%20b%25.jpg", "photos")


@pytest.mark.parametrize(
    "uri",
    ["s3://private/cat.jpg", "s3://Photos/cat.jpg", "s3://photos", "s3://photos/", "s3:photos/cat.jpg", "s3:///photos/cat.jpg",
     "s3://photos/../private/cat.jpg", "s3://photos//cat.jpg/..", "s3://photos/a//b", "s3://photos@private/cat.jpg"],
)  # fmt: skip
async def test_an_address_past_the_allowed_buckets_is_refused(
    uri: str, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_to(endpoint, monkeypatch)
    with pytest.raises(SourceRefused):
        await fetch(uri, "photos")


async def test_an_allowed_bucket_that_is_not_there_is_worth_another_try(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_to(endpoint, monkeypatch)
    with pytest.raises(SourceUnavailable, match="the allowed bucket is not there"):
        await fetch("s3://missing/cat.jpg", "missing")


def denied(status: str, code: str) -> bytes:
    return answer(status, f"<Error><Code>{code}</Code><Message>very-secret</Message></Error>".encode())


@pytest.mark.parametrize(
    ("said", "meaning", "words"),
    [
        (denied("403 Forbidden", "AccessDenied"), SourceRefused, "access denied .AccessDenied"),
        (denied("403 Forbidden", "InvalidAccessKeyId"), SourceUnavailable, "our credentials are refused"),
        (denied("403 Forbidden", "RequestTimeTooSkewed"), SourceUnavailable, "our credentials are refused"),
        (denied("401 Unauthorized", "Unauthorized"), SourceUnavailable, "Unauthorized"),
        (denied("400 Bad Request", "ExpiredToken"), SourceUnavailable, "ExpiredToken"),
        (denied("503 Slow Down", "SlowDown"), SourceUnavailable, "SlowDown"),
        (denied("429 Slow Down", "SlowDown"), SourceUnavailable, "SlowDown"),
        (answer("500 Internal"), SourceUnavailable, "GenericError"),
        (answer("301 Moved"), SourceUnavailable, "GenericError"),
        (b"", SourceUnavailable, "GenericError"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nshort", SourceUnavailable, "cannot be fetched for now"),
    ],
)
async def test_each_failure_has_its_meaning_and_shows_no_secret(
    said: bytes, meaning: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with web_server({"/photos/cat.jpg": said}) as server:
        point_to(server.url(""), monkeypatch)
        with pytest.raises(meaning, match=words) as failure:
            await fetch("s3://photos/cat.jpg", "photos")
    assert "very-secret" not in str(failure.value)


async def test_a_store_that_trickles_ends_at_the_total_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def trickle(send: Send) -> None:
        await send(b"HTTP/1.1 200 OK\r\nlast-modified: Wed, 21 Oct 2015 07:28:00 GMT\r\ncontent-length: 9000\r\n\r\n")
        while True:
            await send(b"x")
            await asyncio.sleep(0.02)

    scripts: dict[str, Script] = {"/photos/cat.jpg": trickle}
    async with web_server(scripts) as server:
        point_to(server.url(""), monkeypatch)
        with pytest.raises(SourceUnavailable):
            await fetch("s3://photos/cat.jpg", "photos", limits=FetchLimits(max_bytes=10_000, total_s=0.5))


async def test_an_endpoint_that_is_no_address_ends_the_start_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio:9000")
    with pytest.raises(UsageError, match="AWS_ENDPOINT_URL=minio:9000: must begin with https://"):
        await fetch("s3://photos/cat.jpg", "photos")
    with pytest.raises(SourceRefused):  # where no bucket is allowed, the variable is not ours to judge
        await fetch("s3://photos/cat.jpg")
