"""`up`, `all`, `consumer`, `api`, `monitor` as commands. What they do is elsewhere, and heavy to import."""

from typing import Annotated

import typer

from cli.lifecycle import run_until_signal
from cli.options import with_settings
from settings import (
    ApiSettings,
    ConsumerSettings,
    InferenceSettings,
    LifeSettings,
    MonitorSettings,
    Settings,
    SourceSettings,
    StoreSettings,
)

CLOSE_S = 3.0
"""What closing may take beyond the drain."""


@with_settings(ApiSettings, InferenceSettings, ConsumerSettings, StoreSettings, "lag_interval_s", logs="warning")
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


@with_settings(ApiSettings, InferenceSettings, ConsumerSettings, StoreSettings, "lag_interval_s", logs="info")
def all_roles(settings: Settings) -> int:
    """Run API, consumer and monitor in one process over one model."""
    from cli.roles import run_all

    return run_until_signal(lambda stop: run_all(settings, stop), leave_within_s=_limit_s(settings))


@with_settings(InferenceSettings, ConsumerSettings, StoreSettings, "health_port", "host", "insecure", logs="info")
def consumer(settings: Settings) -> int:
    """Run a member of the consumer group: from Kafka to the store."""
    from cli.roles import run_consumer

    return run_until_signal(lambda stop: run_consumer(settings, stop), leave_within_s=_limit_s(settings))


@with_settings(
    ApiSettings, InferenceSettings, MonitorSettings, SourceSettings, StoreSettings, LifeSettings, logs="info"
)
def api(settings: Settings) -> int:
    """Run the HTTP service."""
    from cli.roles import run_api

    return run_until_signal(lambda stop: run_api(settings, stop), leave_within_s=_limit_s(settings))


@with_settings(MonitorSettings, "health_port", "host", "insecure", "drain_timeout_s", logs="info")
def monitor(settings: Settings) -> int:
    """Watch the lag of the consumer group, and serve it on HEALTH_PORT, with its metrics.

    Light: it needs neither the model nor the database. Of all processes of this role and of `all` one exports the
    lag, by Kafka's choice; when it ends, another one does.
    """
    from cli.monitor import run_monitor

    return run_until_signal(lambda stop: run_monitor(settings, stop), leave_within_s=_limit_s(settings))


def _limit_s(settings: Settings) -> float:
    return settings.drain_timeout_s + CLOSE_S
