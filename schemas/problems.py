"""problem+json (RFC 9457): the body of every HTTP error."""

from pydantic import BaseModel, ConfigDict


class Problem(BaseModel):
    """`type` is a stable path under /problems/; further members say what helps."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
