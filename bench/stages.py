"""A child that starts as a consumer does, step by step: where the seconds go, as one line of JSON."""

import time

AWAKE = time.time()

import json  # noqa: E402  (what comes before is what is measured)
import sys  # noqa: E402

import uvloop  # noqa: E402

from settings import Settings, load  # noqa: E402


class Clock:
    """Seconds between one mark and the next, by name."""

    def __init__(self, begun: float) -> None:
        """`begun` is time.time() of the process that started this one."""
        self.seconds: dict[str, float] = {}
        self._last = begun
        self.mark("interpreter", AWAKE)

    def mark(self, name: str, now: float | None = None) -> None:
        now = time.time() if now is None else now
        self.seconds[name] = now - self._last
        self._last = now


async def start(settings: Settings, clock: Clock) -> None:
    """The steps of `cli.roles.open_rooms`, one after the other."""
    from broker.publisher import open_publisher
    from broker.topics import inspect
    from consumer.worker import Worker  # noqa: F401  (likewise)
    from inference.choice import open_engine
    from inference.core import run_core
    from inference.model import load_model
    from store.store import open_store
    from telemetry import Metrics

    metrics = Metrics()
    clock.mark("import the rest")
    await inspect(settings, [settings.kafka_topic, settings.kafka_dlq_topic])
    clock.mark("Kafka's topics")
    model = load_model(settings)
    clock.mark("weights")
    engine = open_engine(model, settings)
    clock.mark("load the engine")
    info = model.info(engine.name, engine.precision, engine.device)
    async with run_core(info, model.preprocessing, engine, settings, metrics):
        clock.mark("warm-up")
        async with open_store(settings, metrics, start_timeout_s=settings.start_timeout_s) as store:
            await store.register_model(info)
            clock.mark("PostgreSQL")
            async with open_publisher(settings):
                clock.mark("Kafka's producer")
                sys.stdout.write(f"{json.dumps({'engine': f'{engine.name} {engine.precision}', **clock.seconds})}\n")
                sys.stdout.flush()


def main() -> None:
    clock = Clock(float(sys.argv[1]))
    settings = load()
    clock.mark("settings")
    import torch  # noqa: F401  (what it takes is measured)

    clock.mark("import torch")
    uvloop.run(start(settings, clock))


if __name__ == "__main__":
    main()
