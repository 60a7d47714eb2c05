"""The roles that tell the lag, in this process: `all` of its own consumer, `api` and `monitor` of anybody's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from cli import roles
from cli.monitor import run_monitor
from settings import Settings
from tests.fake_core import open_fake_core
from tests.kafka_tools import publish
from tests.system.pictures import pictures
from tests.waiting import eventually

Role = Callable[[Settings, asyncio.Event], Coroutine[Any, Any, int]]


@asynccontextmanager
async def running(role: Role, settings: Settings, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[str]:
    """The role's base URL; it ends well."""
    stop = asyncio.Event()
    task = asyncio.create_task(role(settings, stop))

    def address() -> str | None:
        assert not task.done(), task.result()
        return next((line for line in capsys.readouterr().out.splitlines() if line.startswith("http://")), None)

    try:
        yield await eventually(address)
    finally:
        stop.set()
    assert await task == 0


async def test_each_role_tells_the_lag_and_one_process_exports_it(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(roles, "open_core", open_fake_core)
    settings = settings.model_copy(update={"port": 0, "health_port": 0, "lag_interval_s": 0.5})
    servers, topic = str(settings.kafka_bootstrap_servers), settings.kafka_topic
    series = f'scorer_consumer_lag_records{{partition="0",topic="{topic}"}} 0.0'
    async with httpx.AsyncClient(trust_env=False) as client, running(roles.run_all, settings, capsys) as everything:
        await publish(servers, topic, [(image, []) for image in pictures(6)])

        async def up_to_date(url: str) -> bool:
            answer = await client.get(f"{url}/lag")
            report = answer.json()
            if answer.status_code != 200:
                return False
            ends = sum(found["end_offset"] for found in report["partitions"])
            return ends == 6 and (report["status"], report["lag"], report["members"]) == ("OK", 0, 1)

        async def exports(url: str) -> bool:
            return series in (await client.get(f"{url}/metrics")).text

        await eventually(lambda: up_to_date(everything))
        await eventually(lambda: exports(everything))
        async with running(run_monitor, settings, capsys) as monitor:
            await eventually(lambda: up_to_date(monitor))
            assert not await exports(monitor)
            assert await exports(everything)
            assert (await client.get(f"{monitor}/readyz")).status_code == 200
        async with running(roles.run_api, settings, capsys) as api:
            await eventually(lambda: up_to_date(api))
            assert "scorer_consumer_lag" not in (await client.get(f"{api}/metrics")).text


@pytest.mark.soak
async def test_of_two_processes_with_every_role_one_exports_the_lag_however_often_partitions_move(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(roles, "open_core", open_fake_core)
    settings = settings.model_copy(update={"port": 0, "lag_interval_s": 0.5})
    async with httpx.AsyncClient(trust_env=False) as client, running(roles.run_all, settings, capsys) as lasting:

        async def exports(url: str) -> bool:
            return "scorer_consumer_lag_records{" in (await client.get(f"{url}/metrics")).text

        await eventually(lambda: exports(lasting))
        async with running(roles.run_all, settings, capsys) as other:

            async def members() -> bool:
                reports = [(await client.get(f"{url}/lag")).json() for url in (lasting, other)]
                return [report.get("members") for report in reports] == [2, 2]

            await eventually(members)
            assert await exports(lasting)
            assert not await exports(other)
        async with running(roles.run_all, settings, capsys) as another:
            assert await exports(lasting)
            assert not await exports(another)
