"""`python -m bench.instant_consumer`: a consumer with every room but the model's, which answers at once.

Takes the settings of `streamscorer consumer` from the environment; says `{}` once it is there, and ends on SIGTERM.
"""

import asyncio
import signal
import sys
from contextlib import AsyncExitStack

from bench.instant_core import InstantCore
from broker.publisher import open_publisher
from broker.topics import inspect
from consumer.hops import Parts
from consumer.worker import Worker
from settings import load
from sources.fetcher import open_fetcher
from store.store import open_store
from telemetry import Metrics, configure_logging


async def main() -> None:
    """Work until told to stop."""
    settings = load()
    configure_logging(settings)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(settings, metrics, start_timeout_s=30))
        publisher = await stack.enter_async_context(open_publisher(settings))
        fetcher = await stack.enter_async_context(open_fetcher(settings))
        parts = Parts(InstantCore(), store, publisher, fetcher, metrics)
        worker = Worker(settings, parts, await inspect(settings, [settings.kafka_topic, settings.kafka_dlq_topic]))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        sys.stdout.write("{}\n")
        sys.stdout.flush()
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main())
