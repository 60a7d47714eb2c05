"""A store on tables of its own, and a connection beside it to look at them."""

from collections.abc import AsyncIterator

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row
from pydantic import SecretStr

from settings import StoreSettings
from store.store import Store, open_store
from telemetry import Metrics


@pytest.fixture
def settings(migrated_url: str) -> StoreSettings:
    return StoreSettings(database_url=SecretStr(migrated_url))


@pytest.fixture
async def store(settings: StoreSettings) -> AsyncIterator[Store]:
    async with open_store(settings, Metrics(), start_timeout_s=10) as opened:
        yield opened


@pytest.fixture
async def sql(migrated_url: str) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
    connection = await psycopg.AsyncConnection[DictRow].connect(migrated_url, autocommit=True, row_factory=dict_row)
    async with connection:
        yield connection
