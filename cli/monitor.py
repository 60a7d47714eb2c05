"""The role `monitor`: watches the lag and serves it. Neither a model nor a database."""

import asyncio

from cli import output
from cli.exits import say_warning
from monitor.export import LagCollector, election_of
from monitor.watcher import Watcher
from settings import Settings
from telemetry import Metrics


async def run_monitor(settings: Settings, stop: asyncio.Event) -> int:
    """Until `stop`. It starts without Kafka, whose absence /readyz, /lag and the log tell."""
    metrics, watcher = Metrics(), Watcher(settings)
    election = election_of(settings, watcher)
    metrics.registry.register(LagCollector(watcher, lambda: election.won or election.refused))
    async with asyncio.TaskGroup() as tasks:
        ending = [tasks.create_task(watcher.run(), name="lag")]
        if settings.health_port is None:
            say_warning("SCORER_HEALTH_PORT is not set: the lag is only logged")
        else:
            from api.app import create_health_app
            from api.server import serve

            app = create_health_app({"kafka": watcher.trouble}, metrics, watcher=watcher)
            answering = serve(app, settings, on_ready=output.line, stop=stop, listen_on="health_port")
            tasks.create_task(answering, name="health")
            # Only who can be scraped: else it would be elected, and nobody would have the lag.
            ending.append(tasks.create_task(election.stand(), name="election"))
        await stop.wait()
        for task in ending:
            task.cancel()
    return 0
