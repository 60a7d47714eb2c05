"""`python -m bench.peers`: the peers' case alone, or parts of it."""

import argparse
from pathlib import Path

from bench.alone import run_alone
from bench.cases import Options
from bench.peers.case import PARTS, Selection, case
from bench.peers.catalogue import CONSUMERS, MLSERVER_KAFKA, SERVICES

NAMES = [peer.name for peer in (*SERVICES, *CONSUMERS, MLSERVER_KAFKA)]


def main() -> None:
    """Print each row as soon as it is known; the table as JSON in the end."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=[])
    parser.add_argument("--only", nargs="+", choices=NAMES, default=[], metavar="PEER", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=float, default=5.0, help="about how long each turn takes")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="the least that shows that it works")
    parser.add_argument("--images", type=Path, help="a folder of your own pictures")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    given = parser.parse_args()
    options = Options(given.repetitions, given.seconds, quick=given.quick, images=given.images)
    run_alone(case(Selection(tuple(given.parts), tuple(given.only))), options, given.json)


if __name__ == "__main__":
    main()
