"""A cursor is opaque, survives a URL, and works for the question it came from alone."""

import base64
import re

import pytest

from schemas.scores import Order, ScoreFilter
from store.cursors import Cursor, InvalidCursor
from store.filters import digest

EVERYTHING = ScoreFilter()


@pytest.mark.parametrize(
    ("order", "cursor"),
    [("newest", Cursor("2026-03-01T12:00:00.000001+00:00", 7)), ("oldest", Cursor("734", 2**63 - 1))],
)
def test_a_cursor_goes_through_a_url_as_it_is(order: Order, cursor: Cursor) -> None:
    text = cursor.encode(order, EVERYTHING)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
    assert Cursor.decode(text, order, EVERYTHING) == cursor


def test_equal_filters_share_cursors() -> None:
    text = Cursor("1", 1).encode("oldest", ScoreFilter(label="cat", source="s"))
    assert Cursor.decode(text, "oldest", ScoreFilter(source="s", label="cat")) == Cursor("1", 1)


def _forged(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    ["", "x", "!!!!", "é", "bm90IGpzb24", _forged("[]"), _forged("{}"), _forged("1"), _forged('["newest"]')],
)
def test_a_made_up_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor, match="not one that we gave"):
        Cursor.decode(text, "newest", EVERYTHING)


@pytest.mark.parametrize(
    ("order", "place"),
    [
        ("newest", '"yesterday",1'),
        ("newest", '"2026-01-01T00:00:00",1'),
        ("newest", '"2026-01-01T00:00:00+00:00",-1'),
        ("newest", '"2026-01-01T00:00:00+00:00",true'),
        ("newest", '"2026-01-01T00:00:00+00:00",99999999999999999999'),
        ("newest", "null,1"),
        ("oldest", '"-1",1'),
        ("oldest", '"1e3",1'),
        ("oldest", '"99999999999999999999",1'),
        ("oldest", '"\u0663",1'),
        ("oldest", "7,1"),
    ],
)
def test_a_forged_place_is_refused(order: Order, place: str) -> None:
    with pytest.raises(InvalidCursor, match="damaged"):
        Cursor.decode(_forged(f'["{order}","{digest(EVERYTHING)}",{place}]'), order, EVERYTHING)
