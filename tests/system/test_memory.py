"""Resident memory stays within its budget while the database is away and large images arrive."""

import io
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from tests.consumer.test_worker import cloud_event
from tests.faults.proxy import run_proxy
from tests.kafka_tools import lag, publish, rows
from tests.system.processes import command
from tests.waiting import eventually

MIB = 1024 * 1024
BUDGET_MB = 2048
IMAGES = 150


def megabyte(seed: int) -> bytes:
    """A JPEG of about 1 MB that nothing can shrink: noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (1000, 1500, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "jpeg", quality=82)
    return data.getvalue()


def resident_mb(pid: int, line: str = "VmHWM") -> float:
    """The most that the process ever had in memory."""
    with Path(f"/proc/{pid}/status").open(encoding="ascii") as status:
        return next(int(text.split()[1]) / 1024 for text in status if text.startswith(line))


@pytest.mark.soak
@pytest.mark.timeout(240)
async def test_memory_stays_within_its_budget_while_the_database_is_away(
    kafka: str, migrated_url: str, scorer_settings: dict[str, Any]
) -> None:
    topic, real = str(scorer_settings["kafka_topic"]), urlsplit(migrated_url)
    pictures = [megabyte(seed) for seed in range(6)]
    assert all(0.8 * MIB < len(picture) < 1.5 * MIB for picture in pictures)
    async with run_proxy(real.port or 5432) as proxy:
        through = migrated_url.replace(f":{real.port}/", f":{proxy.port}/")
        settings = scorer_settings | {"database_url": through, "memory_budget_mb": BUDGET_MB}
        async with command("consumer", settings=settings) as consumer:
            await consumer.line("partitions assigned")
            proxy.refuse()
            for first in range(0, IMAGES, 50):
                batch = [(pictures[n % 6], cloud_event(f"{n}")) for n in range(first, first + 50)]
                await publish(kafka, topic, batch)
            await consumer.line("waiting")
            seen: list[float] = []

            def steady() -> bool:
                seen.append(resident_mb(consumer.process.pid, "VmRSS"))
                return len(seen) > 300 and max(seen[-200:]) - min(seen[-200:]) < 8

            await eventually(steady, "resident memory stays where it is")
            at_most = resident_mb(consumer.process.pid)
            assert at_most < BUDGET_MB, f"{at_most:.0f} MiB"
            proxy.heal()

            async def drained() -> bool:
                return await lag(kafka, topic, topic) == 0

            await eventually(drained, within_s=150)
            assert resident_mb(consumer.process.pid) < BUDGET_MB
            consumer.send(signal.SIGTERM)
            assert await consumer.end() == 0
    assert await rows(migrated_url, "select count(*) from scores") == [(IMAGES,)]
