"""Problems as HTTP responses: the exception handlers, and how OpenAPI describes them."""

from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from api.problems import (
    BUG,
    MEDIA_TYPE,
    BodyTooLarge,
    InvalidParameter,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    RequestFault,
    problem_of,
    problem_type,
    retry_after,
)
from errors import ScorerError
from schemas.problems import Problem

Handler = Callable[[Request, Exception], Coroutine[Any, Any, Response]]
_SHOWN = 80
_WORDS = {"extra_forbidden": "there is no such parameter", "missing": "it is missing"}


def install(app: FastAPI) -> None:
    """Answer every failure with problem+json; what is not in the table stays a bug for the front door."""
    for kind, handler in (
        (ScorerError, _expected),
        (RequestFault, _expected),
        (RequestValidationError, _wrong_parameter),
        (HTTPException, _from_framework),
    ):
        app.add_exception_handler(kind, handler)


def bug_response(request_id: str) -> Response:
    """500 without a word about the inside."""
    detail = f"The service failed on this request. Its log has the reason under request id {request_id}."
    problem = Problem(type=BUG.uri, title=BUG.title, status=BUG.status, detail=detail)
    return _response(problem, request_id)


def describe(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entry of each status; pass it to `responses=`."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def explain(found: Sequence[Any]) -> InvalidParameter:
    """pydantic's findings in one line and as members; values are shown short, and never a whole image."""
    members = []
    for error in found:
        where = ".".join(str(part) for part in error["loc"] if part not in ("query", "path", "body"))
        message = _WORDS.get(error["type"], str(error["msg"]).removeprefix("Value error, "))
        shown = _short(error["input"])
        members.append({"parameter": where, "message": message} | ({"value": shown} if shown is not None else {}))
    words = [
        "{}{}: {}".format(m["parameter"] or "the body", f"={m['value']}" if "value" in m else "", m["message"])
        for m in members
    ]
    return InvalidParameter("; ".join(words), errors=members)


def _short(value: object) -> str | None:
    """None for what is no plain value, or too long to be of help."""
    if value is None or not isinstance(value, str | int | float) or len(str(value)) > _SHOWN:
        return None
    return str(value)


async def _expected(request: Request, error: Exception) -> Response:
    if problem_type(error) is BUG:
        raise error
    headers = {"Retry-After": str(wait)} if (wait := retry_after(error)) is not None else {}
    problem = problem_of(error)
    if isinstance(error, BodyTooLarge):
        headers["Connection"] = "close"  # the rest of the body is not read
    return _respond(request, problem, headers)


async def _wrong_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return await _expected(request, explain(error.errors()))


async def _from_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    method, path = request.scope["http_method"], request.scope["path"]
    headers = dict(error.headers or {})
    fault: RequestFault
    if error.status_code == HTTPStatus.NOT_FOUND:
        fault = NotFound(f"nothing is at {path[:200]}; /docs lists what there is")
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        fault = MethodNotAllowed(f"{path[:200]} takes {headers.get('Allow', 'another method')}, not {method[:20]}")
    else:
        fault = MalformedRequest(error.detail)
    return _respond(request, problem_of(fault), headers)


def _respond(request: Request, problem: Problem, headers: dict[str, str]) -> Response:
    request.state.problem = problem.type.rpartition("/")[2]  # for the line in the log
    return _response(problem, request.state.request_id, headers)


def _response(problem: Problem, request_id: str, headers: dict[str, str] | None = None) -> Response:
    body = problem.model_dump(mode="json") | {"request_id": request_id}
    return JSONResponse(body, problem.status, headers, media_type=MEDIA_TYPE)
