"""What cannot be measured here is said, and the others go on."""

from errors import CommandFailed


class Skipped(CommandFailed):
    """This case, or this part of it, cannot be measured here; the message says why."""
