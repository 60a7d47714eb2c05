"""`streamscorer up`: everything on one machine with nothing configured, and sample photos to see it work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from api.server import check_address
from broker.publisher import open_publisher
from broker.topics import create_topics
from cli import output
from cli.embedded import running_kafka, running_postgres, watch
from cli.exits import say, say_warning
from cli.lifecycle import starting
from cli.patience import patiently
from cli.resuming import resume_group
from cli.roles import run_all
from cli.samples import score_samples
from embedded.kafka import Kafka
from embedded.programs import Child
from errors import WeightsUnreachable
from inference.model import fetch_weights
from settings import Settings
from store.migrations import migrate
from tracing.opening import wanted


async def run_up(settings: Settings, stop: asyncio.Event, *, samples: bool, fresh: bool) -> int:
    """Broker and database (each left out when its setting is given), topics, migrations, `all`, samples.

    The embedded parts end last, after all that was in flight is committed.
    """
    children: list[Child] = []
    async with AsyncExitStack() as stack:
        async with starting(stop):
            await check_address(settings)
            wanted()
            complete = await stack.enter_async_context(embedded_parts(settings, children, fresh=fresh))
            await _prepare(complete)
            if settings.database_url is None and (await resume_group(complete))[1]:
                # Its database runs only while we do: nobody else could resume it.
                say_warning("the limit on dead letters had stopped the consumer; started by hand, it goes on")
            chosen = await asyncio.to_thread(_with_weights, complete)
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def announce(url: str) -> None:
            output.line(url)
            ready.set_result(url)

        async with asyncio.TaskGroup() as tasks:
            beside = [tasks.create_task(watch(child), name="watch") for child in children]
            showing = _show(chosen, ready, samples=samples, embedded=settings.database_url is None)
            beside.append(tasks.create_task(showing, name="show"))
            code = await run_all(chosen, stop, announce)
            for task in beside:
                task.cancel()
    return code


async def _prepare(settings: Settings) -> None:
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    await patiently(lambda: create_topics(settings, max_image_bytes=settings.max_image_bytes), settings.start_timeout_s)
    await asyncio.to_thread(migrate, url, timeout_s=settings.start_timeout_s)


@asynccontextmanager
async def embedded_parts(settings: Settings, children: list[Child], *, fresh: bool) -> AsyncIterator[Settings]:
    """Start what no setting names, and add it to `children`; the settings that name it."""
    found: dict[str, object] = {}
    async with AsyncExitStack() as stack:
        if settings.database_url is None:
            say("starting PostgreSQL")
            postgres = await stack.enter_async_context(running_postgres(settings, fresh=fresh))
            children.append(postgres.child)
            found["database_url"] = SecretStr(postgres.url)
        if settings.kafka_bootstrap_servers is None:
            say("starting Kafka")
            kafka: Kafka = await stack.enter_async_context(running_kafka(settings, fresh=fresh))
            children.append(kafka.child)
            found["kafka_bootstrap_servers"] = kafka.bootstrap_servers
        yield settings.model_copy(update=found)


def _with_weights(settings: Settings) -> Settings:
    try:
        fetch_weights(settings.weights)
    except WeightsUnreachable as error:
        say_warning(str(error))
        say_warning(
            "GOING ON WITH UNTRAINED WEIGHTS, since this is a demonstration: everything works, and labels and "
            "probabilities mean nothing (SCORER_WEIGHTS=path of a checkpoint changes that)"
        )
        return settings.model_copy(update={"weights": "untrained"})
    return settings


async def _show(settings: Settings, ready: asyncio.Future[str], *, samples: bool, embedded: bool) -> None:
    """Once the API answers: score the samples, and say how to go on."""
    url = await ready
    if samples:
        async with open_publisher(settings) as publisher:
            await score_samples(settings, publisher, url)
    for text in _directions(settings, url, embedded=embedded):
        output.line(text)


def _directions(settings: Settings, url: str, *, embedded: bool) -> list[str]:
    """`embedded`: the database is ours, and its password no secret to whoever may read this terminal."""
    servers = settings.kafka_bootstrap_servers
    picture = Path("samples") / "cat.png"
    event = "-H ce_specversion=1.0 -H ce_id=cat-1 -H ce_source=/me -H ce_type=io.streamscorer.image"
    return [
        "",
        f"documentation  {url}/docs",
        f"publish        kcat -P -b {servers} -t {settings.kafka_topic} -k cat-1 {event} {picture}",
        f"query          curl '{url}/scores/cat-1?wait_s=10'",
        f"predict        curl -F file=@{picture} {url}/predict/",
        *([_environment(settings)] if embedded else []),
        "Ctrl-C stops all of it; the data stays.",
    ]


def _environment(settings: Settings) -> str:
    assert settings.database_url is not None
    found = {
        "SCORER_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "SCORER_DATABASE_URL": settings.database_url.get_secret_value(),
    }
    return f"other commands export {' '.join(f'{name}={value}' for name, value in found.items())}"
