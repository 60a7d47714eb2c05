"""Every failure the project knows, as one tree; doors (consumer, API, CLI) map it to fates in one table each.

::

    ScorerError
    ├── Invalid               the input is at fault: dead letter / 4xx, never retried
    │   ├── InvalidEvent          the envelope cannot be read
    │   ├── InvalidImage          the bytes are not an image we can decode
    │   │   └── UnsupportedImage      ... because their format is not one we read (HTTP 415)
    │   ├── ImageTooLarge         over the limit on bytes or pixels
    │   ├── Conflict              the identity is taken by another content
    │   ├── SourceRefused         an image_uri outside what is allowed
    │   ├── SourceNotFound        an image_uri that names nothing
    │   ├── SourceExpired         an image_uri that stayed away past SOURCE_DEADLINE_S
    │   ├── UnreadableRecord      Kafka cannot hand the record over
    │   ├── EngineRejected        the engine fails on this image alone
    │   └── ProcessCrashed        the record ended the process, repeatedly
    ├── Transient             the world is at fault: wait with back-off / 503 + Retry-After
    │   ├── StoreUnavailable
    │   ├── BrokerUnavailable
    │   ├── SourceUnavailable
    │   └── Overloaded
    ├── UsageError            the operator is at fault: exit 2, one line
    ├── SafetyLimit           stopped on purpose: exit 3
    ├── DependencyAway        a dependency stayed away past its deadline: exit 4
    │   └── WeightsUnreachable    ... the host of the published weights
    └── CommandFailed         a command could not do what it was asked: exit 1

Anything outside this tree is a bug: 500, or a stop with a non-zero exit code.
"""

from typing import ClassVar


class ScorerError(Exception):
    """Root of all failures that the project raises on purpose."""


class Invalid(ScorerError):
    """The input is at fault. `reason` is what stands in `streamscorer-error-class` and in `dead_letters.reason`."""

    reason: ClassVar[str] = "Invalid"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "reason" not in cls.__dict__:
            cls.reason = cls.__name__


class InvalidEvent(Invalid):
    """The envelope cannot be read as an image event."""


class InvalidImage(Invalid):
    """The bytes cannot be decoded as an image."""


class UnsupportedImage(InvalidImage):
    """The bytes are no image of a format we read; dead-lettered as InvalidImage, HTTP 415."""

    reason = "InvalidImage"


class ImageTooLarge(Invalid):
    """The image is over MAX_IMAGE_BYTES or MAX_IMAGE_PIXELS."""


class Conflict(Invalid):
    """The same (source, id) was scored before with another content."""


class SourceRefused(Invalid):
    """The image_uri is outside the allowed roots, hosts or buckets, or its content breaks a promise (digest, size)."""


class SourceNotFound(Invalid):
    """The image_uri names nothing (404, 410, no such file or key)."""


class SourceExpired(Invalid):
    """The source of an image_uri stayed away past SOURCE_DEADLINE_S."""

    reason = "SourceUnavailable"


class UnreadableRecord(Invalid):
    """The Kafka record cannot be read: bad checksum, unknown codec, broken header."""


class EngineRejected(Invalid):
    """The engine fails on this image while it works for others."""


class ProcessCrashed(Invalid):
    """The record ended the process that scored it, repeatedly."""


class Transient(ScorerError):
    """The world is at fault: try again later. `retry_after_s` is a hint for callers that wait."""

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StoreUnavailable(Transient):
    """PostgreSQL does not answer, or refuses for now."""


class BrokerUnavailable(Transient):
    """Kafka does not answer, or refuses for now."""


class SourceUnavailable(Transient):
    """The source of an image_uri does not answer."""


class Overloaded(Transient):
    """The queue is full, or the core is stopping."""


class UsageError(ScorerError):
    """Wrong usage or settings: one line that says which, with its value and what is allowed."""


class SafetyLimit(ScorerError):
    """A limit stopped the process on purpose; nothing was lost."""


class DependencyAway(ScorerError):
    """A dependency stayed away past its deadline."""


class WeightsUnreachable(DependencyAway):
    """The published weights are not in the cache and cannot be downloaded."""


class CommandFailed(ScorerError):
    """A command could not do what it was asked; the message says why."""
