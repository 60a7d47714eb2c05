"""Asks what a person on call would ask, again and again: `streamscorer lag` and GET /lag."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.gameday.judging import UNKNOWN, Door, Look
from tests.gameday.stage import Stage
from tests.system.processes import command

_HTTP_EVERY_S = 0.5
_COMMAND_EVERY_S = 1.0
_LATER_EVERY_S = 15.0
"""Once it is known what the command says: each run of it costs a second of the processor."""
_ASKED_S = 20.0
_UNKNOWN_EXIT = 3


class Watch:
    """`looks` so far, with times as time.time(). Made by `watching`."""

    def __init__(self, stage: Stage) -> None:
        self.looks: list[Look] = []
        self.settled: Callable[[Door], bool] = lambda door: True
        """Whether it is known well enough what this door says."""
        self._stage = stage

    def latest(self, door: Door) -> Look | None:
        """What it said last."""
        return next((look for look in reversed(self.looks) if look.door == door), None)

    async def ask_http(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(trust_env=False, timeout=_ASKED_S) as client:
            while True:
                status, reason = await _http(client, f"{self._stage.api_url}/lag")
                self.looks.append(Look(time.time(), "/lag", status, reason))
                await asyncio.sleep(_HTTP_EVERY_S)

    async def ask_command(self) -> None:
        """Until cancelled."""
        while True:
            async with command("lag", "--json", settings=self._stage.settings) as asked:
                code = await asked.end(within_s=_ASKED_S)
            status, reason = _said(code, asked.stdout, asked.stderr)
            self.looks.append(Look(time.time(), "lag", status, reason))
            pause_s = _LATER_EVERY_S if self.settled("lag") else _COMMAND_EVERY_S
            for _ in range(int(pause_s / _COMMAND_EVERY_S)):
                await asyncio.sleep(_COMMAND_EVERY_S)
                if not self.settled("lag"):
                    break


@asynccontextmanager
async def watching(stage: Stage) -> AsyncIterator[Watch]:
    """Ask until the end of the block."""
    watch = Watch(stage)
    async with asyncio.TaskGroup() as asking:
        tasks = [asking.create_task(watch.ask_http()), asking.create_task(watch.ask_command())]
        try:
            yield watch
        finally:
            for task in tasks:
                task.cancel()


async def _http(client: httpx.AsyncClient, url: str) -> tuple[str, str]:
    try:
        answer = await client.get(url)
        body = answer.json()
    except (httpx.TransportError, ValueError) as error:
        return UNKNOWN, f"no answer: {type(error).__name__}"
    if answer.is_success:
        return body["status"], body["reason"]
    return UNKNOWN, f"{answer.status_code}: {body['detail']}"


def _said(code: int, stdout: list[str], stderr: list[str]) -> tuple[str, str]:
    if code == _UNKNOWN_EXIT or not stdout:
        return UNKNOWN, stderr[-1] if stderr else f"exit {code}"
    report: dict[str, Any] = json.loads(stdout[-1])
    return report["status"], report["reason"]
