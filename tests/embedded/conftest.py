"""What the tests of the embedded parts share."""

import pytest

from tests.conftest import postgres_lacks


@pytest.fixture
def binaries() -> None:
    """Skips where PostgreSQL's binaries are not installed."""
    if lacking := postgres_lacks():
        pytest.skip(lacking)
