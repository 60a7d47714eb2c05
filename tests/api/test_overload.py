"""/predict under load: equal requests cost one inference, and who is sent away learns when to come back."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import sleep

import httpx
import pytest

from api.app import create_app
from api.services import Services
from inference.core import InferenceCore
from tests.api.answers import problem, told
from tests.api.conftest import client_of
from tests.inference.small_core import HELD, Device, decoded, hold_device, image, running
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def device() -> Device:
    device = Device()
    device.gate.set()
    return device


@asynccontextmanager
async def serving(services: Services, core: InferenceCore, max_wait_s: float = 20) -> AsyncIterator[httpx.AsyncClient]:
    settings = services.settings.model_copy(update={"max_wait_s": max_wait_s})
    async with client_of(create_app(dataclasses.replace(services, core=core, settings=settings))) as client:
        yield client


async def test_a_hundred_equal_requests_and_the_stream_cost_one_inference(services: Services, device: Device) -> None:
    async with running(device, cache_entries=10, places=200) as core, serving(services, core) as client:
        held = await hold_device(core, device)
        stream = asyncio.create_task(core.score_all([image(3)] * 10))
        requests = [asyncio.create_task(client.post("/predict", content=image(3))) for _ in range(100)]
        await decoded(core, 1, "interactive")
        device.gate.set()
        answers = [told(answer) for answer in await asyncio.gather(*requests)]
        await asyncio.gather(held, stream)
        again = (await client.post("/predict", content=image(3))).json()
    assert device.batches == [[HELD], [3]]
    assert all(answer == answers[0] for answer in answers)
    assert again["cached"]
    assert again["timings_ms"]["infer"] == 0


async def test_who_is_refused_and_comes_back_when_told_gets_in(services: Services, device: Device) -> None:
    device.act = lambda batch: sleep(0.1 * len(batch))
    async with running(device, max_batch=4, places=4) as core, serving(services, core) as client:
        inside = [asyncio.create_task(client.post("/predict", content=image(number))) for number in range(4)]
        await eventually(lambda: core._places._inside == 4)
        refused = await client.post("/predict", content=image(9))
        problem(refused, 503, "overloaded", "waiting already")
        await asyncio.sleep(int(refused.headers["retry-after"]))
        assert (await client.post("/predict", content=image(9))).status_code == 200
        assert {answer.status_code for answer in await asyncio.gather(*inside)} == {200}


async def test_a_request_that_could_not_be_answered_in_time_is_refused_at_once(
    services: Services, device: Device
) -> None:
    device.act = lambda batch: sleep(0.05 * len(batch))
    async with running(device, max_batch=4) as core, serving(services, core, max_wait_s=1) as client:
        answers = await asyncio.gather(*(client.post("/predict", content=image(number)) for number in range(60)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert 10 < len(refused) < 60
    for answer in refused:
        problem(answer, 503, "overloaded", "waits 1 s at most|no answer within")
        assert 1 <= int(answer.headers["retry-after"]) <= 5
    assert services.metrics is not None
    assert sum("at most" in answer.json()["detail"] for answer in refused) > len(refused) / 2


async def test_a_request_gets_its_503_in_time_even_from_an_engine_that_hangs(
    services: Services, device: Device
) -> None:
    async with running(device) as core, serving(services, core, max_wait_s=0.5) as client:
        held = await hold_device(core, device)
        problem(await client.post("/predict", content=image(1)), 503, "overloaded", "within 0.5 s")
        assert core._line.depth("interactive") == 0
        device.gate.set()
        await held
        assert (await client.post("/predict", content=image(1))).status_code == 200
