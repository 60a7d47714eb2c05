"""A killed owner leaves nothing behind, and its data can be used again at once."""

import asyncio
import sys
import textwrap
from pathlib import Path

import psycopg
import pytest

from embedded import guards
from embedded.ports import is_free
from embedded.postgres import run_postgres
from tests.embedded.processes import is_alive
from tests.waiting import eventually

OWNER = textwrap.dedent("""
    import asyncio, sys
    from pathlib import Path
    from embedded import guards
    from embedded.kafka import run_kafka
    from embedded.postgres import run_postgres

    data_dir, jars, guarded = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    if guarded == "supervisor":
        guards.has_setpriv = lambda: False

    async def main():
        async with run_postgres(data_dir) as postgres, run_kafka(data_dir, jars) as kafka:
            print("RUNNING", postgres.url, kafka.bootstrap_servers, postgres.child.pid, kafka.child.pid, flush=True)
            await asyncio.sleep(60)

    asyncio.run(main())
""")


@pytest.mark.usefixtures("binaries")
@pytest.mark.parametrize("guarded", ["setpriv", "supervisor"])
async def test_kafka_and_postgresql_end_when_their_owner_is_killed(tmp_path: Path, jars: Path, guarded: str) -> None:
    if guarded == "setpriv" and not guards.has_setpriv():
        pytest.skip("no setpriv that can set the parent-death signal")
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER, str(tmp_path), str(jars), guarded), stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    words: list[str] = []
    async for line in owner.stdout:
        if line.startswith(b"RUNNING"):
            words = line.decode().split()[1:]
            break
    url, servers, postgres_pid, kafka_pid = words
    ports = [int(servers.rpartition(":")[2]), int(url.rpartition(":")[2].partition("/")[0])]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("CREATE TABLE kept (id int)")
        pids = [int(postgres_pid), int(kafka_pid), connection.info.backend_pid]
        assert all(map(is_alive, pids))
        owner.kill()
        await owner.wait()
        await eventually(lambda: not any(map(is_alive, pids)), "every process is gone")
    assert all(map(is_free, ports))
    async with run_postgres(tmp_path) as again:
        assert again.url == url
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute("SELECT id FROM kept")
