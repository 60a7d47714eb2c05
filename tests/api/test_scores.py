"""GET /scores: what was written is found, page by page, and whoever waits is woken when it arrives."""

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.services import Services, begin_draining
from tests.api.answers import problem
from tests.api.conftest import client_of
from tests.api.watching import somebody_waits
from tests.api.writing import write_score
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")
DEADLINE_S = 10.0


@pytest.fixture
def source() -> str:
    return f"src-{uuid.uuid4().hex}"


async def test_one_score_is_found_by_its_id(client: httpx.AsyncClient, services: Services, source: str) -> None:
    event_id = f"cat {uuid.uuid4().hex}"
    await write_score(services.store, source, event_id, label="tabby", probability=0.75)
    score = (await client.get(f"/scores/{event_id}")).json()
    assert (score["source"], score["event_id"], score["label"], score["probability"]) == (
        source,
        event_id,
        "tabby",
        0.75,
    )
    assert set(score["kafka"]) == {"topic", "partition", "offset"}
    assert (await client.get(f"/scores/{event_id}", params={"source": source})).json() == score
    assert (await client.get("/scores", params={"event_id": event_id})).json()["items"] == [score]


async def test_what_is_not_there_is_not_found(client: httpx.AsyncClient, services: Services, source: str) -> None:
    await write_score(services.store, source, "there")
    problem(await client.get("/scores/absent", params={"source": source}), 404, "not-found", "'absent' of source")
    wrong = {"source": source, "model_version": "other-1"}
    problem(await client.get("/scores/there", params=wrong), 404, "not-found", "by 'other-1'")


async def test_an_id_of_several_sources_is_ambiguous(
    client: httpx.AsyncClient, services: Services, source: str
) -> None:
    event_id = uuid.uuid4().hex
    await write_score(services.store, f"{source}-a", event_id)
    await write_score(services.store, f"{source}-b", event_id)
    body = problem(await client.get(f"/scores/{event_id}"), 409, "ambiguous-event", "source=")
    assert body["sources"] == [f"{source}-a", f"{source}-b"]
    assert (await client.get(f"/scores/{event_id}", params={"source": f"{source}-b"})).status_code == 200


@pytest.mark.parametrize("event_id", ["a/b", "summary", "ünï/💡", "..", "x?y=z&a#b", "100%"])
async def test_every_id_has_an_address(
    client: httpx.AsyncClient, services: Services, source: str, event_id: str
) -> None:
    await write_score(services.store, source, event_id)
    found = await client.get("/scores", params={"event_id": event_id, "source": source})
    assert [item["event_id"] for item in found.json()["items"]] == [event_id]


@pytest.mark.parametrize("word", ["summary", "export", "stream"])
async def test_reserved_words_are_no_event_ids(
    client: httpx.AsyncClient, services: Services, source: str, word: str
) -> None:
    await write_score(services.store, source, word)
    problem(await client.get(f"/scores/{word}"), 404, "not-found", re.escape(f"GET /scores?event_id={word}"))


async def test_pages_follow_their_links_without_gap_or_repeat(
    client: httpx.AsyncClient, services: Services, source: str
) -> None:
    ids = [f"e{number:02}" for number in range(7)]
    for event_id in ids:
        await write_score(services.store, source, event_id)
    for order, wanted in (("newest", ids[::-1]), ("oldest", ids)):
        url: str | None = f"/scores?source={source}&limit=3&order={order}"
        seen: list[str] = []
        sizes = []
        while url:
            answer = await client.get(url)
            items = answer.json()["items"]
            seen += [item["event_id"] for item in items]
            sizes.append(len(items))
            url = answer.links.get("next", {}).get("url")
            assert (answer.json()["next_cursor"] is None) == (url is None)
        assert seen == wanted
        assert sizes == [3, 3, 1]


async def test_filters_hold_together(client: httpx.AsyncClient, services: Services, source: str) -> None:
    for event_id, label, probability in (("a", "cat", 0.2), ("b", "cat", 0.8), ("c", "dog", 0.9)):
        await write_score(services.store, source, event_id, label=label, probability=probability)

    async def found(**params: str | float) -> list[str]:
        answer = await client.get("/scores", params={"source": source, "order": "oldest", **params})
        assert answer.status_code == 200, answer.text
        return [item["event_id"] for item in answer.json()["items"]]

    assert await found() == ["a", "b", "c"]
    assert await found(label="cat") == ["a", "b"]
    assert await found(label="cat", min_probability=0.5) == ["b"]
    assert await found(max_probability=0.8) == ["a", "b"]
    assert await found(model_version="none-such") == []
    assert await found(since="2020-01-01T00:00:00+00:00", until="2100-01-01T00:00:00Z") == ["a", "b", "c"]
    assert await found(until="2020-01-01T00:00:00+00:00") == []
    assert await found(predicted_class=99_999_999_999) == []
    assert await found(event_id="a\0b") == []


async def test_a_plus_that_became_a_space_is_still_a_time_zone(client: httpx.AsyncClient) -> None:
    assert (await client.get("/scores?since=2100-01-01T00:00:00+02:00")).json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=0", "limit=0"),
        ("limit=1001", "limit=1001"),
        ("order=sideways", "order=sideways"),
        ("min_probability=1.5", "min_probability=1.5"),
        ("min_probability=nan", "min_probability=nan"),
        ("since=yesterday", "since=yesterday"),
        ("since=2025-01-01T00:00:00", "since=2025"),
        ("predicted_class=-1", "predicted_class=-1"),
        ("labl=cat", "labl=cat: there is no such parameter"),
        ("cursor=nonsense", "cursor"),
        ("cursor=%00%ff", "cursor"),
        ("wait_s=5", "wait_s=5 needs event_id"),
        ("event_id=x&wait_s=-1", "wait_s=-1"),
        ("event_id=x&wait_s=inf", "wait_s=inf"),
    ],
)
async def test_a_wrong_parameter_is_named(client: httpx.AsyncClient, query: str, words: str) -> None:
    problem(await client.get(f"/scores?{query}"), 422, "invalid-parameter", words)


async def test_a_cursor_of_another_question_is_refused(
    client: httpx.AsyncClient, services: Services, source: str
) -> None:
    for event_id in "ab":
        await write_score(services.store, source, event_id)
    cursor = (await client.get("/scores", params={"source": source, "limit": 1})).json()["next_cursor"]
    problem(await client.get("/scores", params={"label": "cat", "cursor": cursor}), 422, "invalid-parameter", "cursor")


WAYS = {
    "path": lambda client, source: client.get("/scores/late", params={"source": source, "wait_s": 15}),
    "query": lambda client, source: client.get("/scores", params={"source": source, "event_id": "late", "wait_s": 15}),
}
Way = Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_who_waits_is_woken_by_the_arrival(
    client: httpx.AsyncClient, services: Services, source: str, way: Way
) -> None:
    waiting = asyncio.ensure_future(way(client, source))
    await write_score(services.store, source, "another")
    await write_score(services.store, source, "late")
    written = time.monotonic()
    answer = await asyncio.wait_for(waiting, DEADLINE_S)
    assert time.monotonic() - written < 1.0
    assert "late" in answer.text
    assert answer.status_code == 200


async def test_waiting_ends_with_the_normal_answer(client: httpx.AsyncClient, source: str) -> None:
    began = time.monotonic()
    problem(await client.get("/scores/never", params={"source": source, "wait_s": 0.3}), 404, "not-found")
    assert (await client.get("/scores", params={"event_id": "never", "source": source, "wait_s": 0.3})).json()[
        "items"
    ] == []
    assert 0.5 < time.monotonic() - began < DEADLINE_S


async def test_stopping_ends_the_waiting(app: FastAPI, services: Services, source: str) -> None:
    stopping = create_app(services)
    async with client_of(stopping) as client:
        waiting = asyncio.ensure_future(WAYS["path"](client, source))
        await eventually(somebody_waits, within_s=DEADLINE_S)
        begin_draining(stopping)
        began = time.monotonic()
        problem(await waiting, 404, "not-found")
        assert time.monotonic() - began < 5
