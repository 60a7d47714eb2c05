"""The application: routers, layers and failures put together over opened services."""

import asyncio
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from api import events, health, lag, pages, predict, responses, scores
from api.front_door import FrontDoor
from api.services import Check, Services, Vitals
from schemas.problems import Problem
from telemetry import Metrics

if TYPE_CHECKING:
    from monitor.watcher import Watcher
    from tracing.spans import Tracing

TITLE = "Streamscorer"
DESCRIPTION = """Scores images: one at a time over HTTP, and as a stream over Kafka.

* **predict**: an image in, the model's answer out; nothing is stored.
* **events**: an image event into Kafka; its score is stored, and found under **scores**.

Every error is `application/problem+json`; the header `X-Request-ID` of an answer names its lines in the log."""
_EXPOSED = ("X-Request-ID", "Link", "Location", "Retry-After")
_ROUTERS = (predict.router, events.router, scores.router, lag.router, health.about_router, pages.router)


def create_app(services: Services) -> FastAPI:
    """The whole HTTP service. Needs no lifespan of its own: whoever opened the services closes them."""
    info = services.core.info
    about: dict[str, str | bool] = {
        "version": version("streamscorer"),
        "model_version": info.model_version,
        "engine": info.engine,
        "precision": info.precision,
        "device": info.device,
        "untrained": info.untrained,
    }

    async def inference() -> str | None:
        return services.core.trouble()

    checks = {"inference": inference, **services.checks}
    layers = _layers(services.metrics, services.settings.cors_origins, services.tracing)
    app = FastAPIOffline(
        title=TITLE,
        version=str(about["version"]),
        description=DESCRIPTION,
        middleware=layers,
        redirect_slashes=False,
        # The badge of Swagger UI would ask a validator on the internet.
        swagger_ui_parameters={"validatorUrl": None},
    )
    app.state.services = services
    for router in _ROUTERS:
        app.include_router(router)
    _finish(app, Vitals(checks, services.metrics, services.core.trouble, about, asyncio.Event(), services.watcher))
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema
    return app


def openapi_document() -> dict[str, Any]:
    """What /openapi.json answers, with no service opened."""
    app = FastAPI(title=TITLE, version=version("streamscorer"), description=DESCRIPTION)
    for router in (*_ROUTERS, health.router):
        app.include_router(router)
    return _openapi(app)


def create_health_app(
    checks: Mapping[str, Check],
    metrics: Metrics,
    *,
    trouble: Callable[[], str | None] = lambda: None,
    watcher: "Watcher | None" = None,
) -> FastAPI:
    """/livez, /readyz and /metrics alone, for roles that serve nothing else; and /lag where there is a watcher."""
    app = FastAPI(openapi_url=None, middleware=_layers(metrics, ()), redirect_slashes=False)
    _finish(app, Vitals(checks, metrics, trouble, {}, asyncio.Event(), watcher))
    if watcher is not None:
        app.include_router(lag.router)
    return app


def _layers(metrics: Metrics, origins: tuple[str, ...], tracing: "Tracing | None" = None) -> list[Middleware]:
    layers = [Middleware(FrontDoor, metrics=metrics, tracing=tracing)]
    if origins:
        layers.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(origins),
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=list(_EXPOSED),
            )
        )
    return layers


def _finish(app: FastAPI, vitals: Vitals) -> None:
    app.state.vitals = vitals
    responses.install(app)
    app.include_router(health.router)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if not app.openapi_schema:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        shared = schema.setdefault("components", {}).setdefault("schemas", {})
        shared["Problem"] = Problem.model_json_schema()
        # FastAPI's own error body, which we never send.
        for operation in (operation for path in schema["paths"].values() for operation in path.values()):
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
        for unused in ("HTTPValidationError", "ValidationError"):
            shared.pop(unused, None)
        app.openapi_schema = schema
    return app.openapi_schema
