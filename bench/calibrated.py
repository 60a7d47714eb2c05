"""int8 for the bench: the untrained network calibrated with its own pictures, apart from what the user calibrated.

How well int8 agrees with fp32 is for `bench/accuracy.py` to say, with labels that mean something. Here only its speed
counts, and that is the same whatever the weights are.
"""

import hashlib
from pathlib import Path

from bench.children import given, start
from bench.machine import versions
from bench.workload import Workload
from settings import Settings

IMAGES = 200
_WITHIN_S = 600.0


async def calibrated(settings: Settings, images: Workload, directory: Path) -> Settings:
    """The settings with a `data_dir` that holds a calibration; unchanged where none is needed or it is the user's own.

    Made once for these versions and this preprocessing. Raises Skipped where it cannot be.
    """
    if settings.precision != "int8" or settings.weights != "untrained":
        return settings
    made_from = f"{versions()} {settings.preprocessing} {images.directory}"
    folder = settings.cache_dir / "bench" / f"int8-{hashlib.sha256(made_from.encode()).hexdigest()[:12]}"
    ours = settings.model_copy(update={"data_dir": folder})
    if (folder / "done").exists():
        return ours
    images.paths(IMAGES)
    arguments = ("calibrate", str(images.directory), "--images", str(IMAGES), "--min-agreement", "0", "--json")
    async with start("cli.main", arguments, given(ours), directory) as child:
        await child.done(within_s=_WITHIN_S)
    (folder / "done").touch()
    return ours
