"""The model of the engines' tests: the checkpoint on small pictures, and one cache for what is converted from it."""

from pathlib import Path

import pytest

from settings import Settings


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
