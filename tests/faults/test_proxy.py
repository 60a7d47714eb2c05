import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from tests.faults.proxy import Proxy, run_proxy

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def echo_behind_proxy() -> AsyncIterator[tuple[Proxy, list[asyncio.StreamWriter]]]:
    """A proxy, and behind it a server that sends back what it gets; with its end of each connection."""
    accepted: list[asyncio.StreamWriter] = []

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        try:
            while data := await reader.read(2**16):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, run_proxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy, accepted


async def connect(proxy: Proxy) -> Ends:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def answer(ends: Ends, words: bytes, *, within_s: float = 10.0) -> bytes:
    ends[1].write(words)
    return await asyncio.wait_for(ends[0].readexactly(len(words)), within_s)


async def test_every_byte_passes_in_both_directions_and_an_end_ends_both() -> None:
    async with echo_behind_proxy() as (proxy, _):
        reader, writer = ends = await connect(proxy)
        assert await answer(ends, bytes(5_000_000)) == bytes(5_000_000)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        assert proxy.connections == 1


async def test_latency_is_added_on_each_way() -> None:
    async with echo_behind_proxy() as (proxy, _):
        ends = await connect(proxy)
        await answer(ends, b"quick")
        proxy.latency_s = 0.15
        began = time.monotonic()
        await answer(ends, b"slow")
        assert time.monotonic() - began > 0.25
        ends[1].close()


async def test_a_reset_ends_the_open_lines_alone() -> None:
    async with echo_behind_proxy() as (proxy, _):
        ends = await connect(proxy)
        await answer(ends, b"before")
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await ends[0].read(1)
        again = await connect(proxy)
        assert await answer(again, b"after") == b"after"
        again[1].close()


async def test_a_refusing_proxy_resets_new_lines_until_it_is_healed() -> None:
    async with echo_behind_proxy() as (proxy, accepted):
        proxy.refuse()
        reader, _ = await connect(proxy)
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        assert accepted == []
        proxy.heal()
        ends = await connect(proxy)
        assert await answer(ends, b"well") == b"well"
        ends[1].close()


async def test_a_target_that_is_away_resets_the_line() -> None:
    async with echo_behind_proxy() as (proxy, _):
        async with echo_behind_proxy() as (gone, _):
            nobody = gone.port
        proxy.target_port = nobody
        reader, _ = await connect(proxy)
        with pytest.raises(ConnectionResetError):
            await reader.read(1)


async def test_silence_keeps_lines_open_and_holds_everything_back_until_it_ends() -> None:
    async with echo_behind_proxy() as (proxy, accepted):
        ends, dying = await connect(proxy), await connect(proxy)
        await answer(ends, b"before")
        await answer(dying, b"before")
        proxy.go_silent()
        new = await connect(proxy)
        for one in (ends, new):
            with pytest.raises(TimeoutError):
                await answer(one, b"held", within_s=0.3)
        dying[1].transport.abort()
        await asyncio.sleep(0.1)
        assert len(accepted) == 2
        assert not accepted[1].is_closing(), "half-open: the server must not learn of a dead client"
        proxy.heal()
        for one in (ends, new):
            assert await asyncio.wait_for(one[0].readexactly(4), 10) == b"held"
            one[1].close()


@pytest.mark.parametrize("deliver", [True, False])
async def test_a_line_cut_in_commit_leaves_the_row_exactly_when_it_was_delivered(
    database_url: str, postgres_url: str, deliver: bool
) -> None:
    info = psycopg.conninfo.conninfo_to_dict(database_url)
    async with run_proxy(int(info["port"] or 0)) as proxy:
        url = psycopg.conninfo.make_conninfo(database_url, port=proxy.port)
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute("CREATE TABLE kept (number int)")
        proxy.cut_at(b"COMMIT", deliver=deliver, times=2)
        for number in range(4):
            connection = await psycopg.AsyncConnection.connect(url)
            await connection.execute("INSERT INTO kept VALUES (%s)", [number])
            if number < 2:
                with pytest.raises(psycopg.OperationalError):
                    await connection.commit()
            else:
                await connection.commit()
            await connection.close()
        assert proxy.cuts == 2
        async with await psycopg.AsyncConnection.connect(database_url) as direct:
            found = await (await direct.execute("SELECT number FROM kept ORDER BY 1")).fetchall()
        assert [number for (number,) in found] == ([0, 1, 2, 3] if deliver else [2, 3])


async def test_a_word_is_found_across_the_borders_of_chunks() -> None:
    async with echo_behind_proxy() as (proxy, _):
        ends = await connect(proxy)
        proxy.cut_at(b"COMMIT", deliver=False)
        for part in (b"..C", b"OM", b"M"):
            assert await answer(ends, part) == part
        ends[1].write(b"IT")
        with pytest.raises(ConnectionResetError):
            await ends[0].read(2)
        assert proxy.cuts == 1
