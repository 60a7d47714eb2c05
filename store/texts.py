"""Text that PostgreSQL can hold: no NUL, no lone surrogate, short enough for an index; a mended key stays unique."""

import hashlib
import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_KEY_BYTES = 1000
"""Two keys and a model version must fit in an index row of 2,704 bytes."""
LABEL_CHARS = 400
MESSAGE_CHARS = 2000


def storable(text: str) -> str:
    """`text` with U+FFFD for each character that PostgreSQL refuses."""
    # Most text is this short to clear; a search costs ten times as much.
    return text if text.isascii() and "\x00" not in text else _UNSTORABLE.sub("\ufffd", text)


def shortened(text: str, limit: int) -> str:
    """Storable, and at most `limit` characters; an ellipsis says where something was cut off."""
    text = storable(text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def key(text: str) -> str:
    """An identity that fits: itself, or, where it must be mended, its beginning and the digest of the original.

    So two different identities never become one.
    """
    if len(text) <= _KEY_BYTES and text.isascii() and "\x00" not in text:
        return text
    mended = storable(text)
    if mended == text and len(text.encode()) <= _KEY_BYTES:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{mended[:200]}~{digest}"
