"""Listening and stopping: the address is named when it is unusable, and no running request is lost."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from api.app import create_health_app
from api.server import serve
from api.services import Check
from errors import UsageError
from settings import ApiSettings
from telemetry import Metrics

DEADLINE_S = 10.0


@asynccontextmanager
async def serving(
    checks: dict[str, Check], **settings: object
) -> AsyncIterator[tuple[str, Callable[[], asyncio.Task[None]]]]:
    """Base URL of a running health app, and what stops it (a task that ends with the server)."""
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    app = create_health_app(checks, Metrics())
    task = asyncio.create_task(serve(app, ApiSettings(port=0, **settings), on_ready=ready.set_result, stop=stop))

    def stop_it() -> asyncio.Task[None]:
        stop.set()
        return task

    try:
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
            yield ready.result(), stop_it
    finally:
        stop.set()
        await asyncio.wait_for(task, DEADLINE_S)


async def test_url_is_told_once_it_answers() -> None:
    async with serving({}) as (url, _), httpx.AsyncClient() as client:
        assert url.startswith("http://127.0.0.1:")
        assert (await client.get(f"{url}/livez")).status_code == 200


async def test_a_small_answer_is_not_kept_back_until_the_one_before_is_acknowledged() -> None:
    loop = asyncio.get_running_loop()
    async with serving({}) as (url, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        seconds = []
        for _ in range(30):
            asked = loop.time()
            writer.write(b"GET /livez HTTP/1.1\r\nhost: here\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
            seconds.append(loop.time() - asked)
        writer.close()
    # The first answers on a connection are acknowledged at once, whoever waits.
    assert min(seconds[20:]) < 0.02


async def test_ipv6_host_stands_in_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 loopback here")
    async with serving({}, host="::1") as (url, _), httpx.AsyncClient() as client:
        assert url.startswith("http://[::1]:")
        assert (await client.get(f"{url}/livez")).status_code == 200


async def test_taken_port_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = ApiSettings(port=port, health_port=port)
        for listen_on, names in (
            ("port", r"SCORER_PORT \(or --port\)"),
            ("health_port", r"SCORER_HEALTH_PORT \(or --health-port\)"),
        ):
            with pytest.raises(
                UsageError, match=rf"^127\.0\.0\.1:{port} is taken: set {names} to another one, 0 picks"
            ):
                await serve(
                    create_health_app({}, Metrics()),
                    settings,
                    on_ready=lambda url: pytest.fail(f"ready at {url}"),
                    stop=asyncio.Event(),
                    listen_on=listen_on,  # type: ignore[arg-type]  # a literal in both rows
                )


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
async def test_foreign_host_names_the_setting(host: str) -> None:
    with pytest.raises(UsageError, match=rf"^SCORER_HOST={host} is no address of this machine"):
        await serve(
            create_health_app({}, Metrics()),
            ApiSettings(host=host, port=0, insecure=True),
            on_ready=lambda url: pytest.fail(f"ready at {url}"),
            stop=asyncio.Event(),
        )


async def test_stop_finishes_the_running_request_and_refuses_new_ones() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        asked.set()
        await go_on.wait()

    async with serving({"slow": slow}) as (url, stop), httpx.AsyncClient() as client:
        running = asyncio.create_task(client.get(f"{url}/readyz"))
        await asked.wait()
        server = stop()
        async with asyncio.timeout(DEADLINE_S):
            while await accepts(url):
                pass
        assert not running.done()
        go_on.set()
        answer = await running
        assert answer.status_code == 503
        assert "is stopping" in answer.json()["checks"]["process"]["reason"]
        await server


async def test_stop_holds_its_deadline_with_a_request_that_never_ends() -> None:
    """The idle connection of a client that keeps it open must not hold the stop either."""
    asked = asyncio.Event()

    async def stuck() -> None:
        asked.set()
        while True:  # a check that swallows its own deadline
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if asyncio.current_task().cancelling() > 1:  # type: ignore[union-attr]  # there is one
                    raise

    async with serving({"stuck": stuck}, drain_timeout_s=0.1) as (url, stop), httpx.AsyncClient() as client:
        await client.get(f"{url}/livez")
        running = asyncio.create_task(client.get(f"{url}/readyz"))
        await asked.wait()
        await asyncio.wait_for(stop(), 5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_cancelled_server_leaves_no_listener() -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        serve(create_health_app({}, Metrics()), ApiSettings(port=0), on_ready=ready.set_result, stop=asyncio.Event())
    )
    url = await asyncio.wait_for(ready, DEADLINE_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, DEADLINE_S)
    assert not await accepts(url)


async def test_failure_while_announcing_ends_the_server() -> None:
    told: list[str] = []

    def broken(url: str) -> None:
        told.append(url)
        raise RuntimeError("no terminal")

    with pytest.raises(RuntimeError, match="no terminal"):
        await serve(create_health_app({}, Metrics()), ApiSettings(port=0), on_ready=broken, stop=asyncio.Event())
    assert not await accepts(told[0])


async def accepts(url: str) -> bool:
    parsed = httpx.URL(url)
    try:
        _, writer = await asyncio.open_connection(parsed.host, parsed.port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
