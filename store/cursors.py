"""Where a page ended, as opaque text: order, filter and the last row's place in that order."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from schemas.scores import Order, ScoreFilter
from store import filters

_MOST = 2**63 - 1


class InvalidCursor(ValueError):
    """The cursor is not one of ours, or belongs to another question. The message says which."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Place of a row: `first` is its time (newest) or its transaction's number (oldest), `seq` its own number."""

    first: str
    seq: int

    def encode(self, order: Order, where: ScoreFilter) -> str:
        """Text that goes into a URL as it is."""
        text = json.dumps([order, filters.digest(where), self.first, self.seq], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, order: Order, where: ScoreFilter) -> Self:
        """Inverse of `encode` for the same question. Raises InvalidCursor."""
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            its_order, its_filter, first, seq = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        except (binascii.Error, ValueError, TypeError):
            raise InvalidCursor("the cursor is not one that we gave: take next_cursor of the page before") from None
        if its_order != order:
            raise InvalidCursor(f"the cursor belongs to order={its_order}, not {order}: begin again without a cursor")
        if its_filter != filters.digest(where):
            raise InvalidCursor("the cursor belongs to other filters: repeat the same ones, or begin without a cursor")
        if not (_is_place(first, order) and type(seq) is int and 0 <= seq <= _MOST):
            raise InvalidCursor("the cursor is damaged: take next_cursor of the page before")
        return cls(first, seq)


def _is_place(first: object, order: Order) -> bool:
    if not isinstance(first, str):
        return False
    if order == "oldest":
        return first.isascii() and first.isdigit() and int(first[:20]) <= _MOST and len(first) <= 19
    try:
        return datetime.fromisoformat(first).tzinfo is not None
    except ValueError:
        return False
