"""POST /events: accepted means acknowledged, and what Kafka holds is what the caller sent."""

import asyncio
import base64
import dataclasses
import json
import socket
import uuid
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from api.app import create_app
from api.services import Services
from broker.publisher import open_publisher
from schemas.envelope import decode_event
from schemas.events import ImageEvent, ImageRef
from schemas.http import MAX_BATCH_IMAGES
from schemas.records import Coordinates, Record
from settings import StoreSettings
from store.store import open_store
from telemetry import Metrics
from tests.api.answers import problem
from tests.api.conftest import MAX_IMAGE_BYTES, PARTITIONS, client_of
from tests.api.writing import write_score
from tests.checkpoints import SAMPLES

pytestmark = pytest.mark.asyncio(loop_scope="session")
CAT = (SAMPLES / "cat.png").read_bytes()
CAT64 = base64.b64encode(CAT).decode()
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CLOUD = {"specversion": "1.0", "type": "x.photo", "source": "/cams/1", "datacontenttype": "image/png"}


async def kept(services: Services, accepted: dict[str, Any]) -> "tuple[ConsumerRecord[bytes, bytes], ImageEvent]":
    """The record that was acknowledged, and the event that the consumer will see in it."""
    assert accepted["topic"] == services.settings.kafka_topic
    at = TopicPartition(accepted["topic"], accepted["partition"])
    async with AIOKafkaConsumer(bootstrap_servers=services.settings.kafka_bootstrap_servers) as consumer:
        consumer.assign([at])
        consumer.seek(at, accepted["offset"])
        raw = await asyncio.wait_for(consumer.getone(), 10)
    assert raw.offset == accepted["offset"]
    coordinates = Coordinates("c", raw.topic, raw.partition, raw.offset, raw.timestamp)
    return raw, decode_event(Record(coordinates, raw.key, raw.value, tuple(raw.headers)), "coordinates")


async def published(services: Services) -> int:
    """How many records the topic has."""
    partitions = [TopicPartition(services.settings.kafka_topic, number) for number in range(PARTITIONS)]
    async with AIOKafkaConsumer(bootstrap_servers=services.settings.kafka_bootstrap_servers) as consumer:
        return sum((await consumer.end_offsets(partitions)).values())


def structured(event_id: str, **data: Any) -> dict[str, Any]:
    return {**CLOUD, "id": event_id, **data}


async def test_image_without_identity_gets_one(client: httpx.AsyncClient, services: Services) -> None:
    answers = [
        await client.post("/events", content=CAT, headers={"traceparent": TRACE}),
        await client.post("/events/", files={"file": ("cat.png", CAT)}, headers={"traceparent": TRACE}),
        await client.post("/events", json={"image_base64": CAT64}, headers={"traceparent": TRACE}),
    ]
    ids = set()
    for answer in answers:
        assert answer.status_code == 202, answer.text
        accepted = answer.json()
        assert set(accepted) == {"source", "id", "topic", "partition", "offset"}
        assert answer.headers["location"] == f"/scores/{accepted['id']}?source=%2Fevents"
        _, event = await kept(services, accepted)
        assert (event.source, event.id, event.image, event.traceparent) == ("/events", accepted["id"], CAT, TRACE)
        ids.add(str(uuid.UUID(accepted["id"])))
    assert len(ids) == 3


async def test_identity_can_be_given(client: httpx.AsyncClient, services: Services) -> None:
    who = {"id": "a/ö 1", "source": "/cam?2"}
    answers = [
        await client.post("/events", content=CAT, params=who),
        await client.post("/events", files={"file": CAT}, params=who),
        await client.post("/events", json={"image_base64": CAT64, **who}),
        await client.post("/events", json={"image_uri": "s3://b/cat.png", "sha256": "AB" * 32, **who}),
    ]
    for answer in answers:
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == "/scores?event_id=a%2F%C3%B6+1&source=%2Fcam%3F2"
        _, event = await kept(services, answer.json())
        assert event.identity == ("/cam?2", "a/ö 1")
    assert event.image == ImageRef("s3://b/cat.png", "ab" * 32)


async def test_cloudevents_keep_all_they_say(client: httpx.AsyncClient, services: Services) -> None:
    binary = {
        "ce-specversion": "1.0",
        "ce-type": "x.photo",
        "ce-source": "/cams/1",
        "ce-id": "b%201",
        "ce-lens": "50mm",
    }
    whole = structured("s1", data_base64=CAT64, lens="50mm", time="2025-06-01T12:00:00Z")
    first = await client.post("/events", content=CAT, headers={**binary, "content-type": "image/png"})
    second = await client.post("/events", json=whole, headers={"content-type": "application/cloudevents+json"})
    for answer, event_id in ((first, "b 1"), (second, "s1")):
        assert answer.status_code == 202, answer.text
        raw, event = await kept(services, answer.json())
        assert (event.source, event.id, event.image) == ("/cams/1", event_id, CAT)
        assert raw.key == event_id.encode()
    assert event.event_time.isoformat() == "2025-06-01T12:00:00+00:00"
    assert json.loads(raw.value or b"")["lens"] == "50mm"
    raw, _ = await kept(services, first.json())
    assert dict(raw.headers)["ce_lens"] == b"50mm"


async def test_batch_is_answered_in_order(client: httpx.AsyncClient, services: Services) -> None:
    batch = [structured("one", data_base64=CAT64), structured("two", data={"image_uri": "s3://b/k"})]
    headers = {"content-type": "application/cloudevents-batch+json"}
    answer = await client.post("/events", json=batch, headers=headers)
    assert answer.status_code == 202, answer.text
    assert [item["id"] for item in answer.json()] == ["one", "two"]
    assert [(await kept(services, item))[1].id for item in answer.json()] == ["one", "two"]
    assert (await client.post("/events", json=[], headers=headers)).json() == []


STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCHED = {"content-type": "application/cloudevents-batch+json"}


@pytest.mark.parametrize(
    ("request_", "status", "kind", "words"),
    [
        ({"content": b""}, 400, "malformed-request", "empty"),
        ({"content": b"hello"}, 415, "unsupported-image", "68 65 6c"),
        ({"content": b"II*\0" + bytes(9)}, 415, "unsupported-image", "tiff"),
        ({"files": {"image": CAT}}, 422, "invalid-parameter", "'file'"),
        ({"json": {"image_base64": "???"}}, 422, "invalid-parameter", "base64"),
        ({"json": {"image_base64": CAT64, "id": ""}}, 422, "invalid-parameter", "id"),
        ({"json": {"image_base64": CAT64, "id": "a\0b"}}, 400, "invalid-event", "control characters"),
        ({"json": {"image_uri": "no scheme"}}, 400, "invalid-event", "scheme"),
        (
            {"json": {"image_base64": CAT64, "id": "a"}, "params": {"id": "b"}},
            422,
            "invalid-parameter",
            "stand in the body",
        ),
        ({"content": CAT, "params": {"id": "x" * 1025}}, 400, "invalid-event", "1024"),
        ({"content": CAT, "params": {"wait_s": "soon"}}, 422, "invalid-parameter", "wait_s=soon"),
        ({"content": CAT, "params": {"wait": "1"}}, 422, "invalid-parameter", "wait=1: there is no"),
        ({"content": bytes(MAX_IMAGE_BYTES + 1)}, 413, "body-too-large", ""),
        ({"content": CAT, "headers": {"ce-id": "1"}}, 400, "invalid-event", "ce_specversion is missing"),
        ({"files": {"file": CAT}, "headers": {"ce-id": "1"}}, 400, "invalid-event", "not a form"),
        ({"json": CLOUD, "headers": STRUCTURED}, 400, "invalid-event", "data"),
        ({"content": b"{", "headers": STRUCTURED}, 400, "invalid-event", "JSON"),
        ({"json": structured("1", data_base64="aGk="), "headers": STRUCTURED}, 415, "unsupported-image", ""),
        (
            {"json": structured("1", data_base64=CAT64), "headers": STRUCTURED, "params": {"id": "2"}},
            422,
            "invalid-parameter",
            "",
        ),
        ({"json": {}, "headers": BATCHED}, 400, "invalid-event", "array"),
        (
            {"json": [structured("1", data_base64=CAT64), {}], "headers": BATCHED},
            400,
            "invalid-event",
            "event 2 of the batch",
        ),
        (
            {"json": [structured("1", data={"image_uri": "s3://b/k"})] * (MAX_BATCH_IMAGES + 1), "headers": BATCHED},
            422,
            "invalid-parameter",
            str(MAX_BATCH_IMAGES),
        ),
        ({"json": [], "headers": BATCHED, "params": {"wait_s": 1}}, 422, "invalid-parameter", "not waited for"),
    ],
)
async def test_what_would_be_refused_later_is_refused_now(
    client: httpx.AsyncClient, services: Services, request_: dict[str, Any], status: int, kind: str, words: str
) -> None:
    before = await published(services)
    problem(await client.post("/events", **request_), status, kind, words)
    assert await published(services) == before


async def test_no_202_without_an_acknowledgement(services: Services) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
    settings = services.settings.model_copy(update={"kafka_bootstrap_servers": nobody})
    async with (
        open_publisher(settings) as publisher,
        client_of(create_app(dataclasses.replace(services, publisher=publisher))) as client,
    ):
        problem(await client.post("/events", content=CAT), 503, "broker-unavailable", nobody)
        batch = [structured("1", data_base64=CAT64)]
        problem(await client.post("/events", json=batch, headers=BATCHED), 503, "broker-unavailable", "0 of 1 events")


async def test_wait_gives_the_score_once_it_is_there(client: httpx.AsyncClient, services: Services) -> None:
    event_id = uuid.uuid4().hex
    asked = asyncio.ensure_future(client.post("/events", content=CAT, params={"id": event_id, "wait_s": 15}))
    await write_score(services.store, "/events", event_id, image=CAT, label="tabby")
    answer = await asyncio.wait_for(asked, 10)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["event_id"], answer.json()["label"]) == (event_id, "tabby")
    again = await client.post("/events", content=CAT, params={"id": event_id, "wait_s": 15})
    assert again.json() == answer.json()


async def test_wait_that_ends_in_nothing_is_accepted(client: httpx.AsyncClient) -> None:
    answer = await client.post("/events", content=CAT, params={"wait_s": 0.2})
    assert answer.status_code == 202
    assert set(answer.json()) == {"source", "id", "topic", "partition", "offset"}


async def test_accepted_stays_accepted_when_the_store_is_away(services: Services, session_url: str) -> None:
    async with open_store(StoreSettings(database_url=session_url), Metrics(), start_timeout_s=10) as store:
        pass
    async with client_of(create_app(dataclasses.replace(services, store=store))) as client:
        assert (await client.post("/events", content=CAT, params={"wait_s": 5})).status_code == 202
        problem(await client.get("/scores"), 503, "store-unavailable")
        problem(await client.get("/scores/x?wait_s=5"), 503, "store-unavailable")


async def test_wait_never_hands_out_the_score_of_another_picture(client: httpx.AsyncClient, services: Services) -> None:
    event_id = uuid.uuid4().hex
    await write_score(services.store, "/events", event_id, image=b"another picture")
    answer = await client.post("/events", content=CAT, params={"id": event_id, "wait_s": 15})
    problem(answer, 409, "conflict", "another picture")
