"""`python -m tests.faults.member [ROLE]`: a role, else the consumer, over a cheap engine; with a trap where one is set.

STREAMSCORER_ENGINE: `fake` (real decoding, real preprocessing, answers from mean colours) or `real`.
STREAMSCORER_TRAP: see traps.py. All else is the command `streamscorer ROLE`, with its SCORER_ variables.
"""

import os
import sys

from cli import main as command
from cli import roles
from tests.fake_core import open_fake_core
from tests.faults.traps import set_trap


def main() -> None:
    """Run until a signal; exit codes are those of the command."""
    if trap := os.environ.get("STREAMSCORER_TRAP"):
        set_trap(trap)
    if os.environ.get("STREAMSCORER_ENGINE", "fake") == "fake":
        vars(roles)["open_core"] = open_fake_core
    command.main(sys.argv[1:] or ["consumer"])


if __name__ == "__main__":
    main()
