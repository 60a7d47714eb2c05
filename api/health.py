"""/livez, /readyz, /health and /metrics: what supervisors and Prometheus ask."""

import asyncio

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder

from api.problems import NotAlive, NotReady
from api.responses import describe
from api.services import Check, Vitals, VitalsOf
from errors import Transient
from schemas.http import CheckResult, Health, Readiness

CHECK_TIMEOUT_S = 2.0
router = APIRouter(tags=["health"])
about_router = APIRouter(tags=["health"])


@router.get("/livez", operation_id="livez", summary="Is the process alive?", responses=describe(503))
async def livez(vitals: VitalsOf) -> dict[str, str]:
    """503 when it cannot recover by itself and must be restarted; a dependency that is away does not count."""
    if (trouble := vitals.trouble()) is not None:
        raise NotAlive(trouble)
    return {"status": "alive"}


@router.get(
    "/readyz",
    operation_id="readyz",
    summary="Can it do its work?",
    response_model_exclude_none=True,
    responses=describe(503),
)
async def readyz(vitals: VitalsOf) -> Readiness:
    """Asks every dependency and names those that do not work; 503 also while the process drains.

    A consumer that an operator has paused is ready, with `state: paused`: nothing is wrong with it.
    """
    return Readiness(status="ready", checks=await _checked(vitals))


@about_router.get(
    "/health",
    operation_id="health",
    summary="Readiness, and which model scores",
    response_model_exclude_none=True,
    responses=describe(503),
)
async def health(vitals: VitalsOf) -> Health:
    """What /readyz says, with version, model and engine."""
    checks = await _checked(vitals)
    return Health.model_validate({"status": "ready", "checks": checks, **vitals.about})


@router.get("/metrics", operation_id="metrics", summary="Metrics for Prometheus", response_class=Response)
async def metrics(request: Request, vitals: VitalsOf) -> Response:
    """Prometheus' text format, or OpenMetrics where the header Accept asks for it."""
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(vitals.metrics.registry), headers={"Content-Type": media_type})


async def _checked(vitals: Vitals) -> dict[str, CheckResult]:
    """Every check at once, each with its deadline. Raises NotReady with all of them when one fails."""
    names = list(vitals.checks)
    results = dict(zip(names, await asyncio.gather(*map(_result, vitals.checks.values())), strict=True))
    if vitals.stopping.is_set():
        results["process"] = CheckResult(ok=False, reason="is stopping")
    wrong = "; ".join(f"{name}: {result.reason}" for name, result in results.items() if not result.ok)
    if wrong:
        shown = {name: result.model_dump(exclude_none=True) for name, result in results.items()}
        raise NotReady(wrong, checks=shown, **{k: v for k, v in vitals.about.items() if v is not None})
    return results


async def _result(check: Check) -> CheckResult:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            found = await check()
    except TimeoutError:
        found = f"no answer within {CHECK_TIMEOUT_S:g} s"
    except Transient as error:
        found = str(error)
    return found if isinstance(found, CheckResult) else CheckResult(ok=found is None, reason=found)
