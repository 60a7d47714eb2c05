"""What every scheme promises alike: file, http and s3 in one table."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from errors import ImageTooLarge, SourceNotFound, SourceRefused
from schemas.events import ImageRef
from settings import SourceSettings
from sources.fetcher import open_fetcher
from tests.sources.buckets import point_to, s3_server
from tests.sources.web_server import answer, web_server

PICTURE = b"\xff\xd8\xff" + bytes(range(256)) * 40
LIMIT = len(PICTURE)
CONTENTS = {"cat.jpg": PICTURE, "large.jpg": PICTURE + b"x", "empty.jpg": b""}
SCHEMES = ["file", "http", "s3"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server({"photos": CONTENTS, "other": CONTENTS}) as address:
        yield address


@pytest.fixture(params=SCHEMES)
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[str, str, SourceSettings]]:
    """(address of what is allowed, address of what is not, settings); both hold CONTENTS."""
    if request.param == "file":
        for folder in ("allowed", "other"):
            (tmp_path / folder).mkdir()
            for name, content in CONTENTS.items():
                (tmp_path / folder / name).write_bytes(content)
        settings = SourceSettings(uri_file_roots=(str(tmp_path / "allowed"),), max_image_bytes=LIMIT)
        yield f"file://{tmp_path}/allowed", f"file://{tmp_path}/other", settings
    elif request.param == "s3":
        point_to(endpoint, monkeypatch)
        yield "s3://photos", "s3://other", SourceSettings(uri_s3_buckets=("photos",), max_image_bytes=LIMIT)
    else:
        async with web_server({f"/{name}": answer(body=content) for name, content in CONTENTS.items()}) as server:
            settings = SourceSettings(uri_http_hosts=(f"127.0.0.1:{server.port}",), max_image_bytes=LIMIT)
            yield server.url(""), server.url("", "localhost"), settings


Place = tuple[str, str, SourceSettings]


async def test_what_is_there_is_fetched_byte_for_byte(place: Place) -> None:
    allowed, _, settings = place
    async with open_fetcher(settings) as source:
        assert await source.fetch(ImageRef(f"{allowed}/cat.jpg")) == PICTURE
        assert await source.fetch(ImageRef(f"{allowed}/empty.jpg")) == b""


async def test_what_is_not_there_is_not_found(place: Place) -> None:
    allowed, _, settings = place
    async with open_fetcher(settings) as source:
        with pytest.raises(SourceNotFound, match=r"dog\.jpg"):
            await source.fetch(ImageRef(f"{allowed}/dog.jpg"))


async def test_one_byte_over_the_limit_is_too_large(place: Place) -> None:
    allowed, _, settings = place
    async with open_fetcher(settings) as source:
        with pytest.raises(ImageTooLarge, match=str(LIMIT)):
            await source.fetch(ImageRef(f"{allowed}/large.jpg"))


async def test_the_digest_must_be_the_promised_one(place: Place) -> None:
    allowed, _, settings = place
    digest = hashlib.sha256(PICTURE).hexdigest()
    async with open_fetcher(settings) as source:
        for spelling in (digest, digest.upper()):
            assert await source.fetch(ImageRef(f"{allowed}/cat.jpg", spelling)) == PICTURE
        with pytest.raises(SourceRefused, match=f"content changed: expected sha256 {'0' * 64}, got {digest}"):
            await source.fetch(ImageRef(f"{allowed}/cat.jpg", "0" * 64))


async def test_what_is_not_allowed_is_refused_and_the_setting_named(place: Place) -> None:
    allowed, other, settings = place
    async with open_fetcher(settings) as source:
        with pytest.raises(SourceRefused, match="SCORER_URI_"):
            await source.fetch(ImageRef(f"{other}/cat.jpg"))
    async with open_fetcher(SourceSettings()) as source:
        with pytest.raises(SourceRefused, match=r"is not allowed: name \w+ that may be \w+ in SCORER_URI_"):
            await source.fetch(ImageRef(f"{allowed}/cat.jpg"))


@pytest.mark.parametrize(
    "uri", ["ftp://host/cat.jpg", "data:image/png;base64,AAAA", "cat.jpg", "", "gs://photos/cat.jpg"]
)
async def test_a_scheme_that_is_not_known_is_refused(uri: str) -> None:
    async with open_fetcher(SourceSettings()) as source:
        with pytest.raises(SourceRefused, match="only file, http, https, s3 are read"):
            await source.fetch(ImageRef(uri))
