"""POST /predict: one answer for an image whichever form it comes in, and a clear word for what is none."""

import asyncio
import base64
import dataclasses
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.bodies import BATCH_FACTOR
from api.services import Services
from inference.core import open_core
from schemas.http import MAX_BATCH_IMAGES
from settings import InferenceSettings
from telemetry import Metrics
from tests.api.answers import problem, told
from tests.api.conftest import MAX_IMAGE_BYTES, client_of
from tests.checkpoints import SAMPLES, sample_images
from tests.reference import reference_top1

pytestmark = pytest.mark.asyncio(loop_scope="session")
CAT = (SAMPLES / "cat.png").read_bytes()
CAT64 = base64.b64encode(CAT).decode()
JSON = {"content-type": "application/json"}
CAT_URI = (SAMPLES / "cat.png").as_uri()


async def test_three_forms_give_the_same_answer(client: httpx.AsyncClient) -> None:
    answers = [
        told(await client.post("/predict", files={"file": ("cat.png", CAT, "image/png")})),
        told(await client.post("/predict", content=CAT, headers={"content-type": "image/png"})),
        told(await client.post("/predict", content=CAT, headers={"content-type": "application/x-www-form-urlencoded"})),
        told(await client.post("/predict", content=CAT)),
        told(await client.post("/predict", json={"image_base64": CAT64})),
        told(await client.post("/predict", json={"image_uri": CAT_URI})),
    ]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["image"]["bytes"] == len(CAT)
    assert answers[0]["label"] == answers[0]["top"][0]["label"]


async def test_trailing_slash_is_no_redirect(client: httpx.AsyncClient) -> None:
    assert told(await client.post("/predict/", content=CAT)) == told(await client.post("/predict", content=CAT))


async def test_answers_belong_to_their_pictures(client: httpx.AsyncClient) -> None:
    names = ["cat.png", "rocket.jpg", "coffee.webp"]
    alone = [told(await client.post("/predict", content=(SAMPLES / name).read_bytes())) for name in names]
    assert len({answer["image"]["sha256"] for answer in alone}) == 3
    assert len({answer["predicted_class"] for answer in alone}) > 1
    files = [("files", (name, (SAMPLES / name).read_bytes())) for name in names]
    batch = (await client.post("/predict/batch", files=files)).json()["results"]
    for one, other in zip(alone, batch, strict=True):
        assert other["prediction"]["predicted_class"] == one["predicted_class"]
        assert other["prediction"]["image"] == one["image"]


async def test_every_sample_gets_the_answer_of_an_independent_reference(
    client: httpx.AsyncClient, checkpoint: Path
) -> None:
    images = list(sample_images().values())
    answers = await asyncio.gather(*(client.post("/predict", content=image) for image in images))
    for answer, (class_id, probability) in zip(answers, reference_top1(checkpoint, images), strict=True):
        assert told(answer)["predicted_class"] == class_id
        assert abs(told(answer)["probability"] - probability) <= 1e-3


async def test_top_k_says_how_many_classes(client: httpx.AsyncClient) -> None:
    answer = told(await client.post("/predict?top_k=3", content=CAT))
    assert len(answer["top"]) == 3
    assert [c["probability"] for c in answer["top"]] == sorted((c["probability"] for c in answer["top"]), reverse=True)


@pytest.mark.parametrize(
    ("request_", "status", "kind", "words"),
    [
        ({"content": b""}, 400, "malformed-request", "empty"),
        ({"content": b"{", "headers": JSON}, 400, "malformed-request", "not JSON"),
        ({"content": b"\xff", "headers": JSON}, 400, "malformed-request", "not JSON"),
        (
            {"content": b"[" * 9999, "headers": JSON},
            400,
            "malformed-request",
            "not JSON",
        ),
        ({"content": b'{"image_uri": "\\ud800"}', "headers": JSON}, 400, "malformed-request", "not JSON"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, 400, "malformed-request", "boundary"),
        ({"json": []}, 422, "invalid-parameter", "the body"),
        ({"json": {}}, 422, "invalid-parameter", "image_base64 or image_uri"),
        ({"json": {"image_base64": CAT64, "image_uri": CAT_URI}}, 422, "invalid-parameter", "both"),
        ({"json": {"image_base64": 7}}, 422, "invalid-parameter", "image_base64=7"),
        (
            {"json": {"image_base64": CAT64, "top_k": 3}},
            422,
            "invalid-parameter",
            "top_k=3: there is no such parameter",
        ),
        ({"json": {"image_base64": "???"}}, 422, "invalid-parameter", "not base64"),
        ({"json": {"image_base64": ""}}, 422, "invalid-parameter", "empty"),
        ({"json": {"image_base64": f"data:image/png;base64,{CAT64}"}}, 422, "invalid-parameter", "before the comma"),
        ({"json": {"image_base64": CAT64, "sha256": "0" * 64}}, 422, "invalid-parameter", "changed on its way"),
        ({"json": {"image_uri": "file:///etc/hostname"}}, 422, "source-refused", "/etc/hostname"),
        ({"json": {"image_uri": CAT_URI.replace("cat", "no-such")}}, 422, "source-not-found", "no-such"),
        ({"json": {"image_uri": CAT_URI, "sha256": "0" * 64}}, 422, "source-refused", "sha256"),
        ({"files": {"image": CAT}}, 422, "invalid-parameter", "'file'.*'image'"),
        ({"files": {"file": b""}}, 422, "invalid-parameter", "'file' is empty"),
        ({"files": [("file", CAT), ("file", CAT)]}, 422, "invalid-parameter", "2 fields 'file'.*batch"),
        ({"content": b"hello, no image"}, 415, "unsupported-image", ""),
        ({"content": b"II*\0" + bytes(100)}, 415, "unsupported-image", ""),
        ({"content": CAT[:1000]}, 422, "invalid-image", ""),
        ({"content": CAT, "params": {"top_k": "0"}}, 422, "invalid-parameter", "top_k=0"),
        ({"content": CAT, "params": {"top_k": "many"}}, 422, "invalid-parameter", "top_k=many"),
        ({"content": CAT, "params": {"topk": "3"}}, 422, "invalid-parameter", "topk=3: there is no such parameter"),
        ({"content": bytes(MAX_IMAGE_BYTES + 1)}, 413, "body-too-large", str(MAX_IMAGE_BYTES)),
        ({"files": {"file": bytes(MAX_IMAGE_BYTES + 1)}}, 413, "image-too-large", f"{MAX_IMAGE_BYTES:,}"),
        ({"json": {"image_base64": "A" * MAX_IMAGE_BYTES * 2}}, 413, "body-too-large", ""),
    ],
)
async def test_what_cannot_be_scored_is_told(
    client: httpx.AsyncClient, request_: dict[str, Any], status: int, kind: str, words: str
) -> None:
    problem(await client.post("/predict", **request_), status, kind, words)


async def test_batch_fails_image_by_image_and_keeps_the_order(client: httpx.AsyncClient) -> None:
    images = [
        {"image_base64": CAT64},
        {"image_base64": "???"},
        CAT64,
        7,
        {"image_uri": "ftp://x"},
        {"image_uri": CAT_URI},
    ]
    results = (await client.post("/predict/batch?top_k=1", json={"images": images})).json()["results"]
    assert [next(iter(result)) for result in results] == [
        *("prediction", "problem", "prediction", "problem", "problem", "prediction"),
    ]
    assert [r["problem"]["type"] for r in results if "problem" in r] == [
        *("/problems/invalid-parameter", "/problems/invalid-parameter", "/problems/source-refused"),
    ]
    assert len({r["prediction"]["predicted_class"] for r in results if "prediction" in r}) == 1
    assert all(len(r["prediction"]["top"]) == 1 for r in results if "prediction" in r)


async def test_batch_of_files_has_room_for_a_bad_one(client: httpx.AsyncClient) -> None:
    files = [("files", CAT), ("files", b"text"), ("files", b""), ("files", bytes(MAX_IMAGE_BYTES + 1)), ("files", CAT)]
    results = (await client.post("/predict/batch", files=files)).json()["results"]
    assert [r["problem"]["status"] if "problem" in r else 200 for r in results] == [200, 415, 422, 413, 200]


@pytest.mark.parametrize(
    ("request_", "status", "kind", "words"),
    [
        ({"content": CAT, "headers": {"content-type": "image/png"}}, 400, "malformed-request", "image/png"),
        ({"json": {"images": []}}, 422, "invalid-parameter", "images"),
        ({"json": {"images": ["x"] * (MAX_BATCH_IMAGES + 1)}}, 422, "invalid-parameter", str(MAX_BATCH_IMAGES)),
        ({"files": [("files", b"x")] * (MAX_BATCH_IMAGES + 1)}, 422, "invalid-parameter", str(MAX_BATCH_IMAGES)),
        ({"files": {"file": CAT}}, 422, "invalid-parameter", "'files'.*'file'"),
        ({"files": {"files": bytes(MAX_IMAGE_BYTES * BATCH_FACTOR + 100_000)}}, 413, "body-too-large", ""),
    ],
)
async def test_a_batch_as_a_whole_is_bounded(
    client: httpx.AsyncClient, request_: dict[str, Any], status: int, kind: str, words: str
) -> None:
    problem(await client.post("/predict/batch", **request_), status, kind, words)


async def test_a_client_that_leaves_frees_its_place(app: FastAPI, services: Services) -> None:
    """The request ends as 499 when the client hangs up, without waiting for what it had asked."""
    began, gone = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not began.is_set():
            began.set()
            return {"type": "http.request", "body": CAT, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    sent: list[Any] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/events",
        "query_string": b"wait_s=30&source=leaver",
        "headers": [],
    }
    request = asyncio.create_task(app(scope, receive, send))
    await began.wait()
    gone.set()
    await asyncio.wait_for(request, 10)
    assert sent == []
    labels = {"http_request_method": "POST", "http_route": "/events", "http_response_status_code": "499"}
    assert services.metrics.registry.get_sample_value("http_server_request_duration_seconds_count", labels) == 1


async def test_a_core_that_stops_is_overloaded_not_broken(services: Services, checkpoint: Path) -> None:
    settings = InferenceSettings(weights=str(checkpoint), threads=1, engine="torch", precision="fp32")
    async with open_core(settings, Metrics()) as core:
        pass
    async with client_of(create_app(dataclasses.replace(services, core=core))) as client:
        problem(await client.post("/predict", content=CAT), 503, "overloaded")
        results = (await client.post("/predict/batch", files=[("files", CAT)])).json()["results"]
        assert results[0]["problem"]["status"] == 503
