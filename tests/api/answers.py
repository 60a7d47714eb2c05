"""Read answers: the prediction that matters, or the problem that was expected."""

import re
from typing import Any

import httpx


def told(answer: httpx.Response) -> dict[str, Any]:
    """The prediction without what differs from call to call."""
    assert answer.status_code == 200, answer.text
    return {name: value for name, value in answer.json().items() if name not in {"timings_ms", "cached"}}


def problem(answer: httpx.Response, status: int, kind: str, words: str = "") -> dict[str, Any]:
    """Checks that `answer` is this problem, and returns its body. `words`: a pattern that its detail has."""
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["type"]) == (status, f"/problems/{kind}"), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == status
    assert body["title"]
    assert body["request_id"] == answer.headers["x-request-id"]
    assert re.search(words, body["detail"]), body["detail"]
    assert ("retry-after" in answer.headers) == (status == 503)
    assert len(answer.content) < 5000
    return body
