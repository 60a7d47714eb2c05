"""Write a score as the consumer would, without one."""

import hashlib
import itertools
import uuid
from datetime import UTC, datetime

from schemas.events import ImageEvent
from schemas.predictions import ClassProbability, ImageInfo, Prediction, Timings
from schemas.records import Coordinates
from store.decisions import NewScore
from store.store import Store

_OFFSETS = itertools.count()
MODEL_VERSION = "resnet50-0a1b2c3d4e5f"


async def write_score(
    store: Store,
    source: str,
    event_id: str,
    *,
    image: bytes = b"picture",
    label: str = "tabby",
    probability: float = 0.5,
) -> None:
    digest = hashlib.sha256(image).hexdigest()
    prediction = Prediction(
        predicted_class=281,
        label=label,
        probability=probability,
        top=(ClassProbability(class_id=281, label=label, probability=probability),),
        model_version=MODEL_VERSION,
        engine="torch",
        precision="fp32",
        image=ImageInfo(sha256=digest, format="png", width=1, height=1, bytes=len(image)),
        timings_ms=Timings(decode=0, queue=0, infer=0, total=0),
    )
    event = ImageEvent(source, event_id, image, datetime.now(UTC))
    at = Coordinates(f"cluster-{uuid.uuid4().hex}", "image-events", 0, next(_OFFSETS), 1_750_000_000_000)
    written = await store.write([NewScore(at, event, event.digest(), prediction)], [])
    assert written.outcomes == ("scored",)
