"""`up`, `all`, `consumer`, `api` as commands. What they do is in roles.py and up.py, which are heavy to import."""

from typing import Annotated

import typer

from cli.lifecycle import run_until_signal
from cli.options import with_settings
from settings import (
    ApiSettings,
    ConsumerSettings,
    InferenceSettings,
    KafkaSettings,
    LifeSettings,
    Settings,
    SourceSettings,
    StoreSettings,
)

CLOSE_S = 3.0
"""What closing may take beyond the drain."""


@with_settings(ApiSettings, InferenceSettings, ConsumerSettings, StoreSettings, logs="warning")
def up(
    settings: Settings,
    samples: Annotated[
        bool, typer.Option("--samples/--no-samples", help="Publish sample photos and print scores.")
    ] = True,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the embedded broker's and database's data.")] = False,
) -> int:
    """Start everything on this machine, with nothing configured.

    Kafka and PostgreSQL are embedded (each is left out when its setting is given), topics and tables are made,
    sample photos are published and their scores printed. Ctrl-C stops all of it; the data stays.
    """
    from cli.up import run_up

    # The embedded parts are stopped after the roles.
    return run_until_signal(
        lambda stop: run_up(settings, stop, samples=samples, fresh=fresh), leave_within_s=_limit_s(settings) + 30
    )


@with_settings(ApiSettings, InferenceSettings, ConsumerSettings, StoreSettings, logs="info")
def all_roles(settings: Settings) -> int:
    """Run API and consumer in one process over one model."""
    from cli.roles import run_all

    return run_until_signal(lambda stop: run_all(settings, stop), leave_within_s=_limit_s(settings))


@with_settings(InferenceSettings, ConsumerSettings, StoreSettings, "health_port", "host", "insecure", logs="info")
def consumer(settings: Settings) -> int:
    """Run a member of the consumer group: from Kafka to the store."""
    from cli.roles import run_consumer

    return run_until_signal(lambda stop: run_consumer(settings, stop), leave_within_s=_limit_s(settings))


@with_settings(ApiSettings, InferenceSettings, KafkaSettings, SourceSettings, StoreSettings, LifeSettings, logs="info")
def api(settings: Settings) -> int:
    """Run the HTTP service."""
    from cli.roles import run_api

    return run_until_signal(lambda stop: run_api(settings, stop), leave_within_s=_limit_s(settings))


def _limit_s(settings: Settings) -> float:
    return settings.drain_timeout_s + CLOSE_S
