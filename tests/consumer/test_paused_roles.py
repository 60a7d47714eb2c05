"""A pause is meant: it takes neither the API of `all` nor a consumer out of rotation, and is named."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from broker.topics import inspect
from cli import roles
from settings import Settings
from store.groups import Group
from store.store import open_store
from telemetry import Metrics
from tests.consumer.test_watching_roles import running
from tests.fake_core import open_fake_core
from tests.waiting import eventually


@pytest.mark.parametrize("role", [roles.run_all, roles.run_consumer])
async def test_a_paused_process_is_ready_and_says_by_whom_it_was_paused(
    role: Callable[[Settings, asyncio.Event], Coroutine[Any, Any, int]],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(roles, "open_core", open_fake_core)
    settings = settings.model_copy(update={"port": 0, "health_port": 0})
    group = Group((await inspect(settings, [])).id, settings.kafka_topic, settings.kafka_group_id)
    async with open_store(settings, Metrics(), start_timeout_s=10) as store:
        pause, _ = await store.pause_group(group, "ann", "broken deploy")
        async with running(role, settings, capsys) as url, httpx.AsyncClient(trust_env=False) as client:

            async def told(expected: dict[str, Any]) -> bool:
                answer = await client.get(f"{url}/readyz")
                assert answer.status_code == 200, answer.text
                return bool(answer.json()["checks"]["consumer"] == expected)

            await eventually(lambda: told({"ok": True, "state": "paused", "reason": str(pause)}))
            assert 'scorer_paused{reason="operator"} 1.0' in (await client.get(f"{url}/metrics")).text
            await store.unpause_group(group, "ann")
            await eventually(lambda: told({"ok": True}))
