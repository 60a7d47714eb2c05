"""A real Prometheus with our rules as they are delivered, and a journal of its alerts."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx

from embedded.files import write_whole
from embedded.ports import keep_ports
from embedded.programs import Program, ready, running
from tests.deploy.files import PROMETHEUS, read
from tests.gameday.judging import Alert
from tests.waiting import eventually

NAME = "prometheus"
LACKS = f"no {NAME} in PATH (Debian: apt install {NAME})"
_START_S = 60.0
_ASK_S = 1.0
_FOUND_S = 45.0
"""Within this a new process must have been scraped once."""
State = Literal["firing", "pending"]
STATES: tuple[State, ...] = ("firing", "pending")
Labels = frozenset[tuple[str, str]]


class Prometheus:
    """Made by `run_prometheus`. A pipeline is what one fault happens to: processes of one consumer group."""

    def __init__(self, url: str, folder: Path, client: httpx.AsyncClient) -> None:
        self._url = url
        self._folder = folder
        self._client = client
        self._seen: dict[tuple[State, Labels], list[tuple[float, float | None]]] = {}
        """When (time.time()) each alert came into this state, and left it."""

    def scrape(self, pipeline: str, roles: Mapping[str, list[int]]) -> None:
        """From now on scrape these ports of 127.0.0.1, by their roles; none: the pipeline is gone."""
        groups = [
            {"targets": [f"127.0.0.1:{port}" for port in ports], "labels": {"pipeline": pipeline, "role": role}}
            for role, ports in roles.items()
        ]
        write_whole(self._folder / f"{pipeline}.json", json.dumps(groups))

    async def scraped(self, pipeline: str, count: int) -> None:
        """Wait until so many processes of the pipeline answer."""

        async def all_up() -> bool:
            query = f'sum(up{{pipeline="{pipeline}"}})'
            answer = await self._ask("query", {"query": query})
            return [float(found["value"][1]) for found in answer["result"]] == [count]

        await eventually(all_up, f"Prometheus scrapes {count} processes of {pipeline}", within_s=_FOUND_S)

    async def watch(self) -> None:
        """Until cancelled: note when alerts become pending, begin to fire, and end."""
        while True:
            now, alerts = time.time(), (await self._ask("alerts", {}))["alerts"]
            active = {(alert["state"], frozenset(alert["labels"].items())) for alert in alerts}
            for key, times in self._seen.items():
                if key not in active and times[-1][1] is None:
                    times[-1] = (times[-1][0], now)
            for key in active:
                times = self._seen.setdefault(key, [])
                if not times or times[-1][1] is not None:
                    times.append((now, None))
            await asyncio.sleep(_ASK_S)

    def alerts(self, pipeline: str, since: float, *, state: State = "firing") -> list[Alert]:
        """The pipeline's alerts that were in that state after `since` (time.time()), their times counted from it."""
        found = []
        for (was, labels), times in self._seen.items():
            told = dict(labels)
            if was == state and told.get("pipeline") == pipeline:
                found += [Alert(began - since, told["alertname"], told) for began, ended in times
                          if ended is None or ended >= since]  # fmt: skip
        return sorted(found, key=lambda alert: alert.at_s)

    async def _ask(self, what: str, parameters: Mapping[str, str]) -> Any:
        answer = await self._client.get(f"{self._url}/api/v1/{what}", params=dict(parameters))
        answer.raise_for_status()
        return answer.json()["data"]


def find_prometheus(named: str | None) -> str | None:
    """The program; None where there is none."""
    return shutil.which(named or NAME)


@asynccontextmanager
async def run_prometheus(program: str, folder: Path) -> AsyncIterator[Prometheus]:
    """Started, with its journal; ended with the block."""
    targets = folder / "targets"
    await asyncio.to_thread(targets.mkdir, parents=True)
    (port,) = keep_ports(folder / "ports.json", ["http"]).values()
    write_whole(folder / "prometheus.yml", json.dumps(_configuration(targets)))
    started = Program(
        name="Prometheus",
        command=[
            program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        ],
        directory=folder,
        log=folder / "prometheus.log",
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client, running(started) as child:
        await ready(child, _answers(client, url), _START_S)
        prometheus = Prometheus(url, targets, client)
        watching = asyncio.create_task(prometheus.watch(), name="alerts")
        try:
            yield prometheus
            if watching.done():
                watching.result()
        finally:
            watching.cancel()
            await asyncio.wait([watching])


def _configuration(targets: Path) -> dict[str, Any]:
    """As it is delivered, but for where the processes are found."""
    delivered = read(PROMETHEUS / "prometheus.yml")
    (job,) = delivered["scrape_configs"]
    found = {"files": [str(targets / "*.json")], "refresh_interval": "5s"}
    return {
        **delivered,
        "rule_files": [str(PROMETHEUS / name) for name in delivered["rule_files"]],
        "scrape_configs": [{"job_name": job["job_name"], "file_sd_configs": [found]}],
    }


async def _answers(client: httpx.AsyncClient, url: str) -> None:
    async def asked() -> bool:
        try:
            return (await client.get(f"{url}/-/ready")).is_success
        except httpx.TransportError:
            return False

    await eventually(asked, "Prometheus answers", within_s=_START_S)
