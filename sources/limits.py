"""How much one fetch may cost."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bounds of one fetch, redirects and all."""

    max_bytes: int
    """Largest image, encoded."""
    total_s: float = 20.0
    """From the call to the last byte: ends a body that trickles for ever."""
    connect_s: float = 5.0
    read_s: float = 10.0
    """Longest silence of a server."""
    redirects: int = 3


class Source(Protocol):
    """One family of schemes."""

    async def read(self, uri: str) -> bytes:
        """All bytes of `uri`, at most max_bytes.

        Raises SourceRefused, SourceNotFound, SourceUnavailable, ImageTooLarge; their messages hold no credentials.
        """
        ...
