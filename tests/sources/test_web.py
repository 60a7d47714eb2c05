"""http(s)://: what each answer means, and that no answer, redirect or name leads past the guards."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from email.utils import formatdate

import pytest

from errors import ImageTooLarge, SourceNotFound, SourceRefused, SourceUnavailable
from schemas.events import ImageRef
from settings import SourceSettings
from sources.fetcher import SourceFetcher, open_fetcher
from sources.limits import FetchLimits
from sources.network import resolve
from tests.sources.web_server import Script, Send, answer, web_server

PICTURE = b"\xff\xd8\xff" + b"x" * 1000
CAT: dict[str, Script] = {"/cat": answer(body=PICTURE)}
LIMITS = FetchLimits(max_bytes=10_000, total_s=10, connect_s=5, read_s=5)


def fetcher(
    *hosts: str, limits: FetchLimits = LIMITS, addresses: Sequence[str] = ()
) -> AbstractAsyncContextManager[SourceFetcher]:
    """A fetcher for `hosts`; names are on `addresses`, where any are given."""
    settings = SourceSettings(uri_http_hosts=hosts)
    return open_fetcher(settings, limits=limits, resolve=(lambda host, port: list(addresses)) if addresses else resolve)


async def fetch(script: Script, limits: FetchLimits = LIMITS) -> bytes:
    async with web_server({"/cat": script}) as server, fetcher("127.0.0.1", limits=limits) as source:
        return await source.fetch(ImageRef(server.url("/cat?sig=secret")))


async def test_a_picture_is_fetched_whole_and_asked_for_without_encoding_or_credentials() -> None:
    async with web_server({"/a/c%20t": answer(body=PICTURE)}) as server, fetcher("127.0.0.1") as source:
        assert await source.fetch(ImageRef(server.url("/a/c%20t?size=9&x"))) == PICTURE
    request = server.requests[0].lower()
    assert request.startswith("get /a/c%20t?size=9&x http/1.1\r\n")
    assert f"host: 127.0.0.1:{server.port}\r\n" in request
    assert "accept-encoding: identity\r\n" in request
    assert "authorization" not in request


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (404, SourceNotFound), (410, SourceNotFound),
        (400, SourceRefused), (401, SourceRefused), (403, SourceRefused), (204, SourceRefused), (304, SourceRefused),
        (408, SourceUnavailable), (425, SourceUnavailable), (429, SourceUnavailable), (500, SourceUnavailable),
        (502, SourceUnavailable), (503, SourceUnavailable),
    ],
)  # fmt: skip
async def test_each_status_has_its_meaning_and_no_message_shows_the_query(
    status: int, meaning: type[Exception]
) -> None:
    with pytest.raises(meaning, match=str(status)) as failure:
        await fetch(answer(f"{status} So"))
    assert "secret" not in str(failure.value)
    assert "/cat" in str(failure.value)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("7", 7, 7), ("0", 1, 1), ("999999999999", 300, 300), ("soon", 1, 1), ("Fri, 01 Jan 2021 00:00:00 GMT", 1, 1)],
)
async def test_retry_after_is_handed_on_within_bounds(header: str, least: float, most: float) -> None:
    with pytest.raises(SourceUnavailable) as failure:
        await fetch(answer("503 Busy", retry_after=header))
    assert least <= failure.value.retry_after_s <= most


async def test_retry_after_may_be_a_date() -> None:
    with pytest.raises(SourceUnavailable) as failure:
        await fetch(answer("429 Slow down", retry_after=formatdate(time.time() + 100, usegmt=True)))
    assert 50 < failure.value.retry_after_s <= 100


async def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(ImageTooLarge, match="10000 bytes"):
        await fetch(b"HTTP/1.1 200 OK\r\ncontent-length: 10001\r\n\r\n")


async def test_an_endless_body_ends_at_the_limit() -> None:
    async def endless(send: Send) -> None:
        await send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            await send(b"400\r\n" + b"x" * 0x400 + b"\r\n")

    with pytest.raises(ImageTooLarge):
        await fetch(endless)


async def test_a_body_that_trickles_ends_at_the_total_time() -> None:
    async def trickle(send: Send) -> None:
        await send(b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n")
        while True:
            await send(b"x")
            await asyncio.sleep(0.02)

    began = time.monotonic()
    with pytest.raises(SourceUnavailable, match=r"longer than 0\.5 s"):
        await fetch(trickle, FetchLimits(max_bytes=10_000, total_s=0.5, read_s=5))
    assert time.monotonic() - began < 5


async def test_a_server_that_says_nothing_ends_at_the_read_time() -> None:
    async def silent(send: Send) -> None:
        await asyncio.Event().wait()

    with pytest.raises(SourceUnavailable, match="does not answer in time"):
        await fetch(silent, FetchLimits(max_bytes=10_000, total_s=30, read_s=0.2))


@pytest.mark.parametrize(
    "broken",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\nonly this",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"",
    ],
)
async def test_a_broken_answer_is_worth_another_try(broken: bytes) -> None:
    with pytest.raises(SourceUnavailable):
        await fetch(broken)


async def test_nobody_listening_is_worth_another_try() -> None:
    async with web_server({}) as server:
        pass
    async with fetcher("127.0.0.1") as source:
        with pytest.raises(SourceUnavailable):
            await source.fetch(ImageRef(server.url("/cat")))


async def test_a_compressed_answer_is_refused() -> None:
    with pytest.raises(SourceRefused, match="content-encoding 'gzip'"):
        await fetch(answer(body=b"\x1f\x8b bomb", content_encoding="gzip"))


async def test_redirects_are_followed_three_times_and_not_a_fourth() -> None:
    scripts = {f"/{hop}": answer("302 Found", location=f"/{hop - 1}") for hop in range(1, 6)}
    async with web_server({**scripts, "/0": answer(body=PICTURE)}) as server, fetcher("127.0.0.1") as source:
        assert await source.fetch(ImageRef(server.url("/3"))) == PICTURE
        with pytest.raises(SourceRefused, match="more than 3 redirects"):
            await source.fetch(ImageRef(server.url("/4")))


@pytest.mark.parametrize(
    "location",
    [
        "http://localhost:{port}/", "http://[::1]:{port}/", "http://2130706433:{port}/", "//elsewhere.example/",
        "http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "ftp://127.0.0.1/", "http://[", "http://a:b/",
        "http://user:pw@127.0.0.1:{port}/", "",
    ],
)  # fmt: skip
async def test_a_redirect_past_the_guards_is_refused_without_being_asked(location: str) -> None:
    scripts: dict[str, Script] = {"/": answer(body=b"inside")}
    async with web_server(scripts) as server, fetcher("127.0.0.1") as source:
        scripts["/cat"] = answer("302 Found", location=location.format(port=server.port))
        with pytest.raises(SourceRefused):
            await source.fetch(ImageRef(server.url("/cat")))
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "uri",
    [
        "http://other.example/x", "http://user:pw@127.0.0.1/x", "http://127.0.0.1@other.example/x", "http:///x",
        "https://user:p?w@127.0.0.1/", "http://127.0.0.1:70000/", "http://127.0.0.1.other.example/", "http:x", "http://[",
    ],
)  # fmt: skip
async def test_an_address_past_the_guards_is_refused_and_its_password_is_not_shown(uri: str) -> None:
    async with fetcher("127.0.0.1:80") as source:
        with pytest.raises(SourceRefused) as refusal:
            await source.fetch(ImageRef(uri))
    assert "pw" not in str(refusal.value)
    assert "user" not in str(refusal.value)


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "169.254.169.254",
    "::1",
    "fd00::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "0.0.0.0",
]


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_wildcard_never_leads_to_an_address_that_is_not_public(address: str) -> None:
    async with web_server(CAT) as server:
        async with fetcher("*.example.org", addresses=[address]) as source:
            with pytest.raises(SourceRefused, match=r"not public; name a\.example\.org itself"):
                await source.fetch(ImageRef(server.url("/cat", "a.example.org")))
        assert not server.requests


async def test_a_host_that_is_named_may_stand_on_a_private_address() -> None:
    addresses = ["127.0.0.1"]
    async with web_server(CAT) as server, fetcher(f"a.example.org:{server.port}", addresses=addresses) as source:
        assert await source.fetch(ImageRef(server.url("/cat", "A.Example.org."))) == PICTURE


async def test_a_name_is_resolved_once_and_the_checked_address_is_the_one_that_is_met() -> None:
    """A name server that answers "public" to the check and "loopback" to the connection gains nothing."""
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    settings = SourceSettings(uri_http_hosts=("a.example.org",))
    opened = open_fetcher(settings, limits=LIMITS, resolve=lambda host, port: next(answers))
    async with web_server(CAT) as server, opened as source:
        assert await source.fetch(ImageRef(server.url("/cat", "a.example.org"))) == PICTURE
    assert next(answers) == ["127.0.0.2"]


async def test_the_next_address_is_tried_where_the_first_is_dead() -> None:
    addresses = ["127.0.0.9", "127.0.0.1"]
    async with web_server(CAT) as server, fetcher("a.example.org", addresses=addresses) as source:
        assert await source.fetch(ImageRef(server.url("/cat", "a.example.org"))) == PICTURE


async def test_a_name_that_cannot_be_resolved_is_worth_another_try() -> None:
    def nothing(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    settings = SourceSettings(uri_http_hosts=("a.example.org",))
    async with open_fetcher(settings, limits=LIMITS, resolve=nothing) as source:
        with pytest.raises(SourceUnavailable, match="cannot be resolved: Name or service not known"):
            await source.fetch(ImageRef("https://a.example.org/cat"))


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await fetch(answer(body=PICTURE)) == PICTURE


async def test_many_fetches_at_once_each_get_their_own_picture() -> None:
    scripts = {f"/{number}": answer(body=f"picture {number}".encode()) for number in range(50)}
    async with web_server(scripts) as server, fetcher("127.0.0.1") as source:
        found = await asyncio.gather(*(source.fetch(ImageRef(server.url(path))) for path in scripts))
    assert found == [f"picture {number}".encode() for number in range(50)]


async def test_a_fetch_whose_caller_left_leaves_the_others_working() -> None:
    async def silent(send: Send) -> None:
        await asyncio.Event().wait()

    async with web_server({"/silent": silent, "/cat": answer(body=PICTURE)}) as server, fetcher("127.0.0.1") as source:
        waiting = [asyncio.create_task(source.fetch(ImageRef(server.url("/silent")))) for _ in range(40)]
        async with asyncio.timeout(10):
            for _ in range(32):  # as many as the pool has connections
                await server.asked.acquire()
        for task in waiting:
            task.cancel()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        assert await source.fetch(ImageRef(server.url("/cat"))) == PICTURE
