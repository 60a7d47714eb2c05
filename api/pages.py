"""The pages for people: the way to the docs, and what each problem type means."""

from fastapi import APIRouter
from starlette.responses import RedirectResponse

from api.problems import PROBLEMS, NotFound
from api.responses import describe
from schemas.http import ProblemPage

router = APIRouter()


@router.get("/", include_in_schema=False)
async def home() -> RedirectResponse:
    return RedirectResponse("docs", 307)


@router.get(
    "/problems/{name}",
    operation_id="explain_problem",
    summary="What a problem type means",
    tags=["problems"],
    responses=describe(404),
)
async def explain_problem(name: str) -> ProblemPage:
    """The `type` of a problem is the address of this."""
    for kind in PROBLEMS.values():
        if kind.name == name:
            return ProblemPage(type=kind.uri, title=kind.title, status=kind.status, meaning=kind.meaning)
    raise NotFound(f"there is no problem type {name[:80]!r}: " + ", ".join(kind.name for kind in PROBLEMS.values()))
