"""The model of the engines' tests, on small pictures and with one cache for what is converted; the batcher's device."""

from pathlib import Path

import pytest

from settings import Settings
from tests.inference.small_core import Device


@pytest.fixture(scope="session")
def small_model(checkpoint: Path) -> Settings:
    """Settings with pictures of 64 x 64 and one thread; data and cache lie beside the checkpoint."""
    return Settings(
        weights=str(checkpoint),
        preprocessing="resize=64,crop=64",
        engine="torch",
        precision="fp32",
        device="cpu",
        threads=1,
        cache_dir=checkpoint.parent / "cache",
        data_dir=checkpoint.parent / "data",
        _env_file=None,
    )


@pytest.fixture
def device() -> Device:
    """One that holds nothing back."""
    device = Device()
    device.gate.set()
    return device
