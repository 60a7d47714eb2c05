"""Others that do what Streamscorer does, beside it: same model, same machine, same client, their recommended settings.

Each peer is one file in `servers/`, which runs in a virtual environment of its own (`environments.py`) that shares our
torch; `catalogue.py` says how each is started and asked. Three parts, `case.py`:

- `serving.py`: requests a second and their times at 1, 8, 32 and 64 at once; memory.
- `streaming.py`: rows a second from a backlog in Kafka; memory.
- `crashes.py`: records lost and rows doubled when the consumer is killed.

`python -m bench.peers` measures them all; it takes about half an hour, see `--help`.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """CASE, when it is asked for: the servers import this package where nothing of ours is installed."""
    if name == "CASE":
        from bench.peers.case import CASE

        return CASE
    raise AttributeError(name)
