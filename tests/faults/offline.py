"""The offline run with the real engine: `streamscorer predict` over the pictures as files."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from tests.checkpoints import make_checkpoint
from tests.faults.history import Answer
from tests.faults.pool import Picture
from tests.system.processes import ROOT, environment

OFFLINE_S = 600.0


def real_engine(folder: Path) -> dict[str, object]:
    """Settings of a ResNet50 that tells the sample photos apart, in the arithmetic of the reference."""
    return {"weights": str(make_checkpoint(folder / "checkpoint.pt")), "precision": "fp32"}


async def predicted(pool: Sequence[Picture], engine: Mapping[str, object], folder: Path) -> dict[str, Answer]:
    """Class and probability of each picture by its sha256. AssertionError when the command fails."""
    await asyncio.to_thread(_write, pool, folder)
    out = folder.with_suffix(".parquet")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", "predict", str(folder), "-o", str(out), cwd=ROOT, env=environment(engine)
    )
    try:
        code = await asyncio.wait_for(process.wait(), OFFLINE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert code == 0, f"streamscorer predict ended with {code}"
    rows = pl.read_parquet(out, columns=["sha256", "predicted_class", "probability"]).iter_rows()
    return {sha256: (class_id, probability) for sha256, class_id, probability in rows}


def _write(pool: Sequence[Picture], folder: Path) -> None:
    folder.mkdir()
    for picture in pool:
        # The bytes decide, not the name's ending.
        (folder / f"{picture.sha256}.jpg").write_bytes(picture.data)
