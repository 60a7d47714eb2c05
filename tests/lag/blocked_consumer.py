"""`python -m tests.lag.blocked_consumer`: a consumer of ours whose engine stands still from SIGUSR1 on."""

import asyncio
import signal
from collections.abc import Sequence

from bench.instant_core import InstantCore, instant_worker
from errors import Invalid
from schemas.predictions import Prediction
from settings import load
from telemetry import Metrics, configure_logging


class BlockedCore(InstantCore):
    """Answers at once, until it does not any more."""

    def __init__(self) -> None:
        super().__init__()
        self._blocked = False

    def block(self) -> None:
        """For good."""
        self._blocked = True

    async def score_all(
        self, images: Sequence[bytes], digests: Sequence[str | None] | None = None
    ) -> list[Prediction | Invalid]:
        """See InstantCore."""
        if self._blocked:
            await asyncio.Event().wait()
        return await super().score_all(images, digests)


async def main() -> None:
    """Work until told to stop."""
    settings, core = load(), BlockedCore()
    configure_logging(settings)
    async with instant_worker(settings, Metrics(), core) as worker:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, core.block)
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
