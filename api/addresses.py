"""Addresses of scores: where an event's score is found, and the words that are no event ids there."""

from urllib.parse import quote, urlencode

RESERVED = frozenset({"summary", "export", "stream"})
"""Under /scores/ these name other doors; events with such ids are asked for with GET /scores?event_id=..."""


def score_address(source: str, event_id: str) -> str:
    """Relative URL of the event's score: /scores/{id}, or the query form where the id does not fit into a path."""
    if event_id in RESERVED or event_id in (".", "..") or "/" in event_id:
        return "/scores?" + urlencode({"event_id": event_id, "source": source})
    return f"/scores/{quote(event_id, safe='')}?" + urlencode({"source": source})
