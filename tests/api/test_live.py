"""Over a real socket: curl as the README prints it, and a stop that cuts long polls short."""

import asyncio
import json
import subprocess
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from api.app import create_app
from api.server import serve
from api.services import Services
from tests.api.answers import problem, told
from tests.api.conftest import MAX_IMAGE_BYTES
from tests.api.watching import nobody_waits, somebody_waits
from tests.checkpoints import SAMPLES
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")
DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Live:
    url: str
    stop: asyncio.Event
    ended: asyncio.Task[None]


@pytest_asyncio.fixture(loop_scope="session")
async def live(services: Services) -> AsyncIterator[Live]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    settings = services.settings.model_copy(update={"port": 0})
    task = asyncio.create_task(serve(create_app(services), settings, on_ready=ready.set_result, stop=stop))
    yield Live(await asyncio.wait_for(ready, DEADLINE_S), stop, task)
    stop.set()
    await asyncio.wait_for(task, DEADLINE_S)


async def curl(*arguments: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run, ["curl", "-sS", "--max-time", "20", *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout


async def test_curl_as_printed(live: Live, client: httpx.AsyncClient) -> None:
    cat = SAMPLES / "cat.png"
    wanted = told(await client.post("/predict", content=cat.read_bytes()))
    for arguments in (
        ["-F", f"file=@{cat}"],
        ["--data-binary", f"@{cat}"],
        ["--data-binary", f"@{cat}", "-H", "Transfer-Encoding: chunked"],
    ):
        answer = json.loads(await curl(*arguments, f"{live.url}/predict/"))
        assert {name: answer[name] for name in wanted} == wanted


async def test_a_client_that_writes_first_still_reads_the_413(live: Live) -> None:
    async with httpx.AsyncClient(timeout=20) as client:
        body = bytes(8 * MAX_IMAGE_BYTES)
        problem(await client.post(f"{live.url}/predict", content=body), 413, "body-too-large")

        async def undeclared() -> AsyncIterator[bytes]:
            yield body

        problem(await client.post(f"{live.url}/predict", content=undeclared()), 413, "body-too-large")


async def test_stop_answers_long_polls_at_once(live: Live) -> None:
    async with httpx.AsyncClient(timeout=20) as client:
        asked = asyncio.create_task(client.get(f"{live.url}/scores/{uuid.uuid4().hex}?wait_s=15"))
        await eventually(somebody_waits, within_s=DEADLINE_S)
        began = time.monotonic()
        live.stop.set()
        problem(await asked, 404, "not-found")
        await asyncio.wait_for(asyncio.shield(live.ended), DEADLINE_S)
        assert time.monotonic() - began < 10


async def test_a_client_that_hangs_up_ends_its_wait(live: Live) -> None:
    assert not await somebody_waits()
    async with httpx.AsyncClient(timeout=20) as client:
        asked = asyncio.create_task(client.get(f"{live.url}/scores/{uuid.uuid4().hex}?wait_s=15"))
        await eventually(somebody_waits, within_s=DEADLINE_S)
        asked.cancel()
        await eventually(nobody_waits, within_s=DEADLINE_S)
