"""The bare loop as the other side of a comparison: a child that waits, still, until it is asked to run."""

import json
from typing import Literal, Self

from bench.children import Child

Loop = Literal["overlapped", "serial"]


class Bare:
    """The process behind `bench/bare_loop.py`. Made by `ready`."""

    def __init__(self, child: Child, engine: str, precision: str, device: str, batch: int) -> None:
        self._child = child
        self.batch = batch
        """Images of one forward pass: what is fastest here."""
        self.engine = f"{engine} {precision}" if device == "cpu" else f"{engine} {precision} {device}"
        """What runs there, as the report names it."""
        self.cpu_us: list[float] = []
        """CPU time of an image, microseconds, of each run so far."""

    @classmethod
    async def ready(cls, child: Child) -> Self:
        """Wait until its engine is loaded and warm."""
        facts = json.loads(await child.line("{"))
        return cls(child, facts["engine"], facts["precision"], facts["device"], facts["batch"])

    async def rate(self, images: int, loop: Loop = "overlapped") -> float:
        """Images a second, over so many images."""
        answer = json.loads(await self._child.ask(f"{loop} {images}"))
        self.cpu_us.append(answer["cpu_us"])
        return float(answer["rate"])

    async def how_many(self, seconds: float, *, quick: bool) -> int:
        """Images that keep the bare loop busy for about `seconds`; the smoke takes few."""
        return 24 if quick else max(96, int(seconds * await self.rate(96)))
