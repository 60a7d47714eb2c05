"""Who runs a command, for the audit."""

import getpass
import os


def actor() -> str:
    """Name of the operating system's user; its number where it has no name, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
