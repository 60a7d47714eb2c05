"""The sample photos of `up`: publish them, and print each score when its row is there."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx

from broker.publisher import Publisher
from cli import output
from cli.exits import say_warning
from cli.patience import patiently
from schemas.envelope import encode_event
from schemas.events import ImageEvent
from schemas.image_formats import image_format
from schemas.scores import Score
from settings import Settings

FOLDER: Final = Path(__file__).resolve().parent.parent / "samples"
_PATIENCE_S: Final = 300.0
_PAUSE_S: Final = 1.0


def sample_photos() -> Iterator[Path]:
    """The bundled photos, by name."""
    for path in sorted(FOLDER.iterdir()):
        with path.open("rb") as file:
            if image_format(file.read(32)):
                yield path


async def score_samples(settings: Settings, publisher: Publisher, url: str) -> None:
    """Publish each photo as a new event of this run, and print picture, label, probability and latency as they land.

    The scores are asked for at the API, as any user would.
    """
    source = f"/samples/{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    table = output.Table(("picture", 24), ("label", 28), ("probability", 11), ("latency", 10))
    async with (
        httpx.AsyncClient(base_url=url, timeout=_PATIENCE_S, trust_env=False) as client,
        asyncio.TaskGroup() as photos,
    ):
        scores = [photos.create_task(_score(settings, publisher, client, source, photo)) for photo in sample_photos()]
        for next_score in asyncio.as_completed(scores):
            name, score, latency_s = await next_score
            if score is None:
                say_warning(
                    f"{name} has no score after {_PATIENCE_S:.0f} s: the log above tells why, or GET {url}/readyz"
                )
            else:
                table.row(name, score.label, f"{score.probability:.1%}", f"{latency_s * 1000:.0f} ms")


async def _score(
    settings: Settings, publisher: Publisher, client: httpx.AsyncClient, source: str, photo: Path
) -> tuple[str, Score | None, float]:
    """Name of the photo, its score, and the seconds from its publishing to the time of its row."""
    image = await asyncio.to_thread(photo.read_bytes)
    published_at = datetime.now(UTC)
    event = encode_event(ImageEvent(source, photo.name, image, published_at))
    await patiently(
        lambda: publisher.publish(settings.kafka_topic, key=event.key, value=event.value, headers=event.headers),
        _PATIENCE_S,
    )
    deadline = asyncio.get_running_loop().time() + _PATIENCE_S
    while asyncio.get_running_loop().time() < deadline:
        answer = None
        with suppress(httpx.TransportError):
            answer = await client.get(f"/scores/{photo.name}", params={"source": source, "wait_s": settings.max_wait_s})
        if answer is not None and answer.status_code == httpx.codes.OK:
            score = Score.model_validate_json(answer.content)
            return photo.name, score, (score.scored_at - published_at).total_seconds()
        if answer is None or answer.status_code != httpx.codes.NOT_FOUND:
            await asyncio.sleep(_PAUSE_S)  # it could not wait for us
    return photo.name, None, 0.0
