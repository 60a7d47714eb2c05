import asyncio
from pathlib import Path

import psycopg
import pytest

from tests.conftest import postgres_lacks
from tests.faults.database import Database, run_database

pytestmark = pytest.mark.skipif(postgres_lacks() is not None, reason=str(postgres_lacks()))


async def count(database: Database) -> int:
    return int((await database.execute("SELECT count(*) FROM kept"))[0][0])


async def test_what_was_committed_survives_stops_and_kills_on_the_same_port(tmp_path: Path) -> None:
    async with run_database(tmp_path, settings={"max_connections": "17"}) as database:
        url, port = database.url, database.port
        assert f":{port}/" in url
        assert await database.execute("SHOW max_connections") == [("17",)]
        assert await database.execute("SHOW synchronous_commit") == [("on",)]
        assert await database.execute("CREATE TABLE kept (number int)") == []
        for number, end in enumerate((database.stop, database.kill, database.kill), start=1):
            await database.execute(f"INSERT INTO kept VALUES ({number})")
            open_one = await psycopg.AsyncConnection.connect(url)
            await open_one.execute("INSERT INTO kept VALUES (0)")
            await end()
            with pytest.raises(psycopg.OperationalError):
                await open_one.commit()
            await open_one.close()
            with pytest.raises(psycopg.OperationalError):
                await count(database)
            await database.start()
            assert (database.url, database.port) == (url, port)
            assert await count(database) == number
        assert await database.execute("SHOW max_connections") == [("17",)]


async def test_a_paused_database_answers_late_and_loses_nothing(tmp_path: Path) -> None:
    async with run_database(tmp_path, durable=False) as database:
        async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
            await database.pause()
            answer = asyncio.create_task(connection.execute("SELECT 1"))
            await asyncio.wait([answer], timeout=0.5)
            assert not answer.done()
            await database.resume()
            assert await (await answer).fetchone() == (1,)
        await database.pause()
    with pytest.raises(psycopg.OperationalError):
        await database.execute("SELECT 1")


async def test_a_failing_test_leaves_no_database_behind(tmp_path: Path) -> None:
    urls = []

    async def failing_test() -> None:
        async with run_database(tmp_path, durable=False) as database:
            urls.append(database.url)
            await database.pause()
            raise RuntimeError("the test failed")

    with pytest.raises(RuntimeError, match="the test failed"):
        await failing_test()
    with pytest.raises(psycopg.OperationalError):
        await psycopg.AsyncConnection.connect(urls[0])
