"""Every failure as problem+json: one table from error to type, status and meaning."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import errors
from schemas.problems import Problem

MEDIA_TYPE = "application/problem+json"


class RequestFault(Exception):
    """The request is at fault, or asks for what is not there. `extra` are further members of the problem."""

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.extra = extra


class MalformedRequest(RequestFault):
    """The body cannot be parsed as what its content type says."""


class InvalidParameter(RequestFault):
    """A parameter or a field of the body has a value that is not allowed."""


class BodyTooLarge(RequestFault):
    """The body is over its limit."""


class NotFound(RequestFault):
    """Nothing is at this address."""


class MethodNotAllowed(RequestFault):
    """The path exists, the method does not."""


class AmbiguousEvent(RequestFault):
    """Several sources have an event with this id."""


class NotReady(RequestFault):
    """A dependency is away, or the service is stopping."""


class NotAlive(RequestFault):
    """The process cannot recover by itself."""


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One row of the table; `name` is the last part of `type`."""

    name: str
    status: int
    title: str
    meaning: str

    @property
    def uri(self) -> str:
        return f"/problems/{self.name}"


BUG = ProblemType("internal-error", 500, "Internal error", "A bug of ours. The log has it under the request id.")

PROBLEMS: Mapping[type[Exception], ProblemType] = {
    MalformedRequest: ProblemType(
        "malformed-request", 400, "Malformed request", "The body is not what its content type says, or it is empty."
    ),
    errors.InvalidEvent: ProblemType(
        "invalid-event", 400, "Invalid event", "The CloudEvents envelope cannot be read; the detail names the part."
    ),
    NotFound: ProblemType("not-found", 404, "Not found", "Nothing is at this address, or no such event is scored yet."),
    MethodNotAllowed: ProblemType(
        "method-not-allowed", 405, "Method not allowed", "The path exists for other methods: see the header Allow."
    ),
    errors.Conflict: ProblemType(
        "conflict", 409, "Conflict", "This source and id belong to an event with another picture: take another id."
    ),
    AmbiguousEvent: ProblemType(
        "ambiguous-event", 409, "Ambiguous event id", "Several sources have an event with this id: add ?source=."
    ),
    BodyTooLarge: ProblemType(
        "body-too-large", 413, "Body too large", "The request has more bytes than the service accepts."
    ),
    errors.ImageTooLarge: ProblemType(
        "image-too-large", 413, "Image too large", "The image has more bytes or pixels than the service accepts."
    ),
    errors.UnsupportedImage: ProblemType(
        "unsupported-image", 415, "Not an image type we read", "Send JPEG, PNG, WebP, GIF or BMP; the bytes decide."
    ),
    InvalidParameter: ProblemType(
        "invalid-parameter",
        422,
        "Invalid parameter",
        "A parameter, field or form part has a value that is not allowed.",
    ),
    errors.InvalidImage: ProblemType(
        "invalid-image", 422, "Invalid image", "The bytes begin like an image and cannot be decoded."
    ),
    errors.SourceRefused: ProblemType(
        "source-refused",
        422,
        "Source refused",
        "image_uri is outside what the service may fetch, or breaks its digest.",
    ),
    errors.SourceNotFound: ProblemType(
        "source-not-found",
        422,
        "Source not found",
        "image_uri names nothing: the request is understood, its image is not there.",
    ),
    errors.EngineRejected: ProblemType(
        "engine-rejected", 422, "Engine rejected the image", "The model fails on this image alone."
    ),
    errors.Overloaded: ProblemType(
        "overloaded", 503, "Overloaded", "More work is waiting than can be done in time: come back after Retry-After."
    ),
    errors.StoreUnavailable: ProblemType(
        "store-unavailable", 503, "Store unavailable", "PostgreSQL does not answer: come back after Retry-After."
    ),
    errors.BrokerUnavailable: ProblemType(
        "broker-unavailable",
        503,
        "Broker unavailable",
        "Kafka does not answer: come back later; an event is sent again with the same id.",
    ),
    errors.SourceUnavailable: ProblemType(
        "source-unavailable", 503, "Source unavailable", "What image_uri points to does not answer: come back later."
    ),
    errors.CommandFailed: ProblemType(
        "dependency-misconfigured", 503, "Dependency misconfigured", "An operator has to act; the detail says how."
    ),
    NotReady: ProblemType(
        "not-ready", 503, "Not ready", "A dependency is away or the service is stopping: see `checks`."
    ),
    NotAlive: ProblemType("not-alive", 503, "Not alive", "The process must be restarted; the detail says why."),
    Exception: BUG,
}


def problem_type(error: Exception) -> ProblemType:
    """The row of the nearest class; `Exception` itself is a bug."""
    return next(PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS)


def problem_of(error: Exception) -> Problem:
    """The body for `error`. Must not be asked about bugs: their words stay in the log."""
    kind = problem_type(error)
    extra = error.extra if isinstance(error, RequestFault) else {}
    return Problem(type=kind.uri, title=kind.title, status=kind.status, detail=str(error), **extra)


def retry_after(error: Exception) -> int | None:
    """Whole seconds for the header Retry-After, which every 503 has."""
    if isinstance(error, errors.Transient):
        return max(1, math.ceil(error.retry_after_s))
    return 5 if problem_type(error).status == 503 else None
