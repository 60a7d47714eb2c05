"""What trials stand on: brokers, a database, an image source, and a proxy before each."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from store.migrations import migrate
from tests.faults.brokers import Brokers, run_brokers
from tests.faults.database import Database, run_database
from tests.faults.pool import Picture
from tests.faults.proxy import Proxy, run_proxy
from tests.faults.sources import run_sources

SESSION_TIMEOUT_S = 6.0
DRAIN_S = 10.0


@dataclass(frozen=True)
class Ground:
    """What trials stand on. Members reach each broker, the database and the image source through a line of its own."""

    brokers: Brokers
    database: Database
    broker_lines: Mapping[int, Proxy]
    database_line: Proxy
    source_line: Proxy

    @property
    def source_url(self) -> str:
        return f"http://127.0.0.1:{self.source_line.port}"

    def member_settings(self, topic: str) -> dict[str, object]:
        """SCORER_ variables of a member whose group is named like its topic."""
        far = self.database.url.replace(f":{self.database.port}/", f":{self.database_line.port}/")
        return {
            "kafka_bootstrap_servers": self.brokers.bootstrap_servers,
            "kafka_topic": topic,
            "kafka_group_id": topic,
            "kafka_session_timeout_s": SESSION_TIMEOUT_S,
            "database_url": far,
            "drain_timeout_s": DRAIN_S,
            "uri_http_hosts": "127.0.0.1",
            "source_deadline_s": 60,
            "memory_budget_mb": 2048,
        }


@asynccontextmanager
async def standing(data_dir: Path, jars: Path, *, nodes: int, pool: Sequence[Picture]) -> AsyncIterator[Ground]:
    """Brokers, a migrated database, an image source, and the proxies; all of it gone at the end."""
    async with AsyncExitStack() as stack:
        broker_lines = {node: await stack.enter_async_context(run_proxy(0)) for node in range(1, nodes + 1)}
        advertise = {node: line.port for node, line in broker_lines.items()}
        cluster = run_brokers(data_dir / "brokers", jars, count=nodes, advertise=advertise)
        brokers = await stack.enter_async_context(cluster)
        for node, line in broker_lines.items():
            line.target_port = brokers.ports[node]
        database = await stack.enter_async_context(run_database(data_dir / "database"))
        source = await stack.enter_async_context(run_sources([picture.data for picture in pool]))
        database_line = await stack.enter_async_context(run_proxy(database.port))
        source_line = await stack.enter_async_context(run_proxy(source.port))
        await asyncio.to_thread(migrate, database.url, timeout_s=30)
        yield Ground(brokers, database, broker_lines, database_line, source_line)
