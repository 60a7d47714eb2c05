"""A steady load of events, of several kinds at once, each with a rate that may change at any time."""

import asyncio
import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from tests.checkpoints import sample_images
from tests.faults.generator import Planned
from tests.faults.history import Expected, Headers
from tests.faults.poison import POISONS
from tests.faults.publishing import Publishing

_TICK_S = 0.1
_LARGE_PIXELS = 640
Make = Callable[[int], tuple[bytes, Headers]]
"""Value and content headers of the record with that number."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Events of one kind. `partition` None: one after the other."""

    per_s: float
    make: Make
    partition: int | None = None


class Load:
    """Publishes every flow in `flows`, by its name, for as long as `run` runs."""

    def __init__(self, publishing: Publishing) -> None:
        self.flows: dict[str, Flow] = {}
        self._publishing = publishing
        self._numbers: dict[str, int] = {}

    async def run(self) -> None:
        """Until cancelled."""
        due: dict[str, float] = {}
        last_s = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            now_s = time.monotonic()
            for name, flow in list(self.flows.items()):
                # What could not be published while Kafka was away is not made up for.
                due[name] = due.get(name, 0.0) + flow.per_s * min(now_s - last_s, 1.0)
                await self.publish(name, flow, int(due[name]))
                due[name] -= int(due[name])
            last_s = now_s

    async def publish(self, name: str, flow: Flow, count: int) -> None:
        """So many at once."""
        first = self._numbers.get(name, 0)
        self._numbers[name] = first + count
        await self._publishing.publish([_planned(name, flow, number) for number in range(first, first + count)])


def pictures_of(images: Sequence[bytes]) -> Make:
    """Encoded pictures as they are."""
    return lambda number: (images[number % len(images)], (("content-type", b"image/jpeg"),))


def large_pictures() -> list[bytes]:
    """The sample photos as PNG of about 0.6 MB: few of them fit into what a consumer fetches ahead."""
    found = []
    for photo in sample_images().values():
        file = io.BytesIO()
        size = (_LARGE_PIXELS, _LARGE_PIXELS)
        Image.open(io.BytesIO(photo)).convert("RGB").resize(size).save(file, "PNG", compress_level=1)
        found.append(file.getvalue())
    return found


def fetched_from(url: str) -> Make:
    """Events that name a picture of the source at `url`."""
    return lambda number: (
        json.dumps({"image_uri": f"{url}/ok/{number}.jpg"}).encode(),
        (("content-type", b"application/json"),),
    )


def error_pages() -> Make:
    """What a broken producer sends in the place of pictures."""
    page = POISONS["HTML under image/jpeg"].value
    assert page is not None
    return lambda number: (page, (("content-type", b"image/jpeg"),))


def _planned(name: str, flow: Flow, number: int) -> Planned:
    value, headers = flow.make(number)
    event_id = f"{name}-{number}"
    attributes = {"specversion": "1.0", "id": event_id, "source": "/gameday", "type": "io.streamscorer.image"}
    binary = tuple((f"ce_{key}", text.encode()) for key, text in attributes.items())
    spread = number if flow.partition is None else flow.partition
    return Planned(event_id, None, value, (*binary, *headers), Expected("scored"), spread)
