"""The image event: one picture to be scored, whichever envelope it came in."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from schemas.digests import sha256_hex


@dataclass(frozen=True, slots=True)
class ImageRef:
    """A claim check: the picture is elsewhere. `sha256` (lower hex), where given, is what its bytes must have."""

    uri: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class ImageEvent:
    """One image event. `image` is the encoded bytes or where to fetch them."""

    source: str
    id: str
    image: bytes | ImageRef
    event_time: datetime
    sha256: str | None = None
    """Digest that the producer says the image has."""
    traceparent: str | None = None

    @property
    def identity(self) -> tuple[str, str]:
        return self.source, self.id

    def digest(self) -> str:
        """Lower hex sha256 of what is asked to be scored: equal for a retry, different for another picture."""
        if isinstance(self.image, bytes):
            return sha256_hex(self.image)
        return hashlib.sha256(f"{self.image.uri}\n{self.image.sha256 or ''}".encode()).hexdigest()
