"""What the handlers work with: made by the command that runs, handed in whole."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, FastAPI, Request

from schemas.http import CheckResult
from settings import ApiSettings
from telemetry import Metrics

if TYPE_CHECKING:  # the rooms are heavy, their types are all that is needed here
    from broker.publisher import Publisher
    from inference.core import InferenceCore
    from monitor.watcher import Watcher
    from sources.fetcher import SourceFetcher
    from store.store import Store
    from tracing.spans import Tracing

Check = Callable[[], Awaitable[str | CheckResult | None]]
"""Asks one dependency: None when it works, else the reason in words; or the whole result, where more is to be said."""


@dataclass(frozen=True, slots=True)
class Services:
    """Opened rooms and settings. `checks` are what readiness asks, by the dependency's name."""

    settings: ApiSettings
    core: "InferenceCore"
    store: "Store"
    publisher: "Publisher"
    fetcher: "SourceFetcher"
    metrics: Metrics
    checks: Mapping[str, Check]
    watcher: "Watcher | None" = None
    tracing: "Tracing | None" = None


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the health routes need: also in roles that have no core."""

    checks: Mapping[str, Check]
    metrics: Metrics
    trouble: Callable[[], str | None]
    about: Mapping[str, str | bool]
    """Facts for /health."""
    stopping: asyncio.Event
    """Set once the process drains: unready, and waiting requests are answered at once."""
    watcher: "Watcher | None" = None
    """For /lag."""


def begin_draining(app: FastAPI) -> None:
    """Make the service unready and end its long polls; requests that run are not disturbed."""
    vitals: Vitals = app.state.vitals
    vitals.stopping.set()


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _vitals(request: Request) -> Vitals:
    vitals: Vitals = request.app.state.vitals
    return vitals


ServicesOf = Annotated[Services, Depends(_services)]
VitalsOf = Annotated[Vitals, Depends(_vitals)]
