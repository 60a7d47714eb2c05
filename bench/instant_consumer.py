"""`python -m bench.instant_consumer`: a consumer with every room but the model's, which answers at once.

Takes the settings of `streamscorer consumer` from the environment; says `{}` once it is there, and ends on SIGTERM.
"""

import asyncio
import signal
import sys

import uvloop

from bench.instant_core import instant_worker
from inference.allocator import keep_freed_memory
from settings import load
from telemetry import Metrics, configure_logging


async def main() -> None:
    """Work until told to stop."""
    settings = load()
    configure_logging(settings)
    async with instant_worker(settings, Metrics()) as worker:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        sys.stdout.write("{}\n")
        sys.stdout.flush()
        await worker.run()


if __name__ == "__main__":
    keep_freed_memory()  # as every process does that scores
    uvloop.run(main())
