import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from embedded.ports import is_free
from errors import ImageTooLarge, ScorerError, SourceNotFound, SourceRefused, SourceUnavailable
from schemas.events import ImageRef
from settings import SourceSettings
from sources.fetcher import SourceFetcher, open_fetcher
from sources.limits import FetchLimits
from tests.faults.sources import Sources, run_sources
from tests.system.pictures import pictures

IMAGES = list(pictures(3))
LIMITS = FetchLimits(max_bytes=2**20, total_s=10, read_s=0.5)


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Sources, SourceFetcher]]:
    """The server, and the room's own fetcher, which may ask it."""
    async with run_sources(IMAGES) as sources:
        settings = SourceSettings(uri_http_hosts=(sources.host,))
        async with open_fetcher(settings, limits=LIMITS) as fetcher:
            yield sources, fetcher


async def fetch(sources: Sources, fetcher: SourceFetcher, path: str, sha256: str | None = None) -> bytes:
    return await fetcher.fetch(ImageRef(uri=sources.url(path), sha256=sha256))


async def test_good_paths_give_the_picture_they_name() -> None:
    async with served() as (sources, fetcher):
        for number in range(4):
            assert await fetch(sources, fetcher, f"/ok/{number}.jpg") == IMAGES[number % 3] == sources.image(number)
        began = time.monotonic()
        assert await fetch(sources, fetcher, "/slow/0.2") == IMAGES[0]
        assert time.monotonic() - began >= 0.2
        assert sources.asked == {"/ok/0.jpg": 1, "/ok/1.jpg": 1, "/ok/2.jpg": 1, "/ok/3.jpg": 1, "/slow/0.2": 1}


@pytest.mark.parametrize(
    ("path", "failure"),
    [
        ("/404", SourceNotFound),
        ("/403/one", SourceRefused),
        ("/500", SourceUnavailable),
        ("/slow/60", SourceUnavailable),
        ("/endless", ImageTooLarge),
        ("/redirect-private", SourceRefused),
        ("/gate/1", SourceUnavailable),
    ],
)
async def test_bad_paths_fail_each_in_its_own_way(path: str, failure: type[ScorerError]) -> None:
    async with served() as (sources, fetcher):
        with pytest.raises(failure):
            await fetch(sources, fetcher, path)
        assert sources.asked == {path: 1}, "a redirect to a private address must not be followed"


async def test_the_gate_opens_and_shuts() -> None:
    async with served() as (sources, fetcher):
        sources.open()
        assert await fetch(sources, fetcher, "/gate/1") == IMAGES[1]
        sources.shut()
        with pytest.raises(SourceUnavailable):
            await fetch(sources, fetcher, "/gate/1")
        assert sources.asked["/gate/1"] == 2


async def test_changing_content_is_another_picture_each_time() -> None:
    async with served() as (sources, fetcher):
        first = hashlib.sha256(IMAGES[0]).hexdigest()
        assert await fetch(sources, fetcher, "/changing", first) == IMAGES[0]
        with pytest.raises(SourceRefused, match="content changed"):
            await fetch(sources, fetcher, "/changing", first)


async def test_the_end_comes_at_once_also_with_answers_outstanding() -> None:
    async with served() as (sources, fetcher):
        with pytest.raises(SourceUnavailable):
            await fetch(sources, fetcher, "/slow/60")
        began = time.monotonic()
    assert time.monotonic() - began < 20
    assert is_free(sources.port)
