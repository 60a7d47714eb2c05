"""The floor: the best simple loop over decode and forward pass, with nothing else around.

`python -m bench.bare_loop SEED [FOLDER]`. Reads `overlapped N` or `serial N` from stdin, a line each, and answers
with a line of JSON. *overlapped*: a pool of one thread a core decodes the next batches while the engine runs, with the
thread counts and the code for both that the core uses, in batches of the size that is fastest here. *serial*: one image
after the other is decoded, then the batch is computed. Images are in memory before the clock starts. The clock runs
from the end of the first batch to the end of the last: the side that it is compared with is timed from its first
committed row to its last.
"""

import itertools
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from bench.workload import Workload
from errors import UsageError
from inference.choice import open_engine
from inference.cores import usable_cores
from inference.decode import Limits, probe
from inference.engine import Engine
from inference.model import load_model
from inference.preprocess import Preprocessing, stack
from inference.reading import reader
from inference.torch_threads import compute_with
from settings import InferenceSettings, load
from telemetry import configure_logging

AHEAD = 2
"""Batches that are decoded, or being decoded, ahead of the engine."""

Decode = Callable[[bytes], Tensor]


def main(arguments: Sequence[str]) -> None:
    settings = load()
    configure_logging(settings)
    model = load_model(settings)
    engine = open_engine(model, settings)
    workload = Workload(settings.cache_dir / "bench", int(arguments[0]), Path(arguments[1]) if arguments[1:] else None)
    decode_one = decoder(settings, model.preprocessing, engine.precision)
    loops = {"overlapped": overlapped, "serial": serial}
    batch = fastest(engine, model.preprocessing.crop, min(settings.max_batch, engine.most))
    loops["serial"](workload.read(batch), decode_one, engine, batch)
    say({"engine": engine.name, "precision": engine.precision, "device": engine.device, "batch": batch})
    for number, line in enumerate(sys.stdin, 1):
        loop, count = line.split()
        images = workload.read(int(count), number)
        cpu_s = time.process_time()
        seconds, timed = loops[loop](images, decode_one, engine, batch)
        cpu_us = 1e6 * (time.process_time() - cpu_s) / len(images)
        say({"seconds": seconds, "rate": timed / seconds, "cpu_us": cpu_us})


def fastest(engine: Engine, crop: int, most: int) -> int:
    """The batch size with which the engine computes most images a second, tried in powers of two."""
    rates: dict[int, float] = {}
    size = 1
    while size <= most:
        pixels = torch.full((size, 3, crop, crop), 127, dtype=torch.uint8)
        engine.predict(pixels)
        begun = time.perf_counter()
        engine.predict(pixels)
        rates[size] = size / (time.perf_counter() - begun)
        size *= 2
    return max(rates, key=lambda size: rates[size])


def decoder(settings: InferenceSettings, preprocessing: Preprocessing, precision: str) -> Decode:
    """What a thread of the decode pool does with one image."""
    limits, read = Limits(settings.max_image_bytes, settings.max_image_pixels), reader(settings.decode, precision)

    def decode_one(data: bytes) -> Tensor:
        pixels, _ = read(probe(data, limits), preprocessing, None)
        return pixels

    return decode_one


def overlapped(images: Sequence[bytes], decode_one: Decode, engine: Engine, batch: int) -> tuple[float, int]:
    """Seconds, and the images computed in them; so also `serial`."""
    with ThreadPoolExecutor(usable_cores(), initializer=compute_with, initargs=(1,)) as pool:
        remaining = iter(images)
        decoding: deque[Future[Tensor]] = deque()

        def fill() -> None:
            decoding.extend(pool.submit(decode_one, image) for image in itertools.islice(remaining, batch))

        def batches() -> Iterator[list[Tensor]]:
            for _ in range(AHEAD):
                fill()
            while decoding:
                pixels = [decoding.popleft().result() for _ in range(min(batch, len(decoding)))]
                fill()
                yield pixels

        return _timed(batches(), engine)


def serial(images: Sequence[bytes], decode_one: Decode, engine: Engine, batch: int) -> tuple[float, int]:
    starts = range(0, len(images), batch)
    return _timed(([decode_one(image) for image in images[at : at + batch]] for at in starts), engine)


def _timed(batches: Iterator[list[Tensor]], engine: Engine) -> tuple[float, int]:
    begun, timed = time.perf_counter(), 0
    for number, pixels in enumerate(batches):
        engine.predict(stack(pixels))
        if number == 0:
            first, alone = time.perf_counter(), len(pixels)
        else:
            timed += len(pixels)
    ended = time.perf_counter()
    # One batch alone: the smoke.
    return (ended - first, timed) if timed else (ended - begun, alone)


def say(answer: dict[str, object]) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()


def _wrong_usage(error: UsageError) -> int:
    sys.stderr.write(f"{error}\n")
    return 2


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UsageError as error:
        sys.exit(_wrong_usage(error))
