"""What is published, in which form, and what must become of it: an endless seeded plan that needs no Kafka."""

import base64
import json
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.faults.history import MARKER, Expected, Headers
from tests.faults.poison import POISONS
from tests.faults.pool import Picture

_REMEMBERED = 2000
_LARGE_BYTES = 1 << 20
_SMALL_FOR_EACH_LARGE = 20
_PLACES = 1 << 16
_UNFETCHABLE = (
    ("/404", "SourceNotFound"),
    ("/403", "SourceRefused"),
    ("/redirect-private", "SourceRefused"),
    ("/changing", "SourceRefused"),
    ("/endless", "ImageTooLarge"),
)


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A value with headers that must end as a dead letter for one of `reasons`."""

    value: bytes
    headers: Headers
    reasons: frozenset[str]


def bad_records() -> list[BadRecord]:
    """All kinds of poison; large ones seldom."""
    made = [
        BadRecord(poison.value, tuple(poison.headers), frozenset({poison.reason}))
        for poison in POISONS.values()
        if poison.value is not None and poison.reason is not None
    ]
    small = [bad for bad in made if len(bad.value) < _LARGE_BYTES]
    return small * _SMALL_FOR_EACH_LARGE + [bad for bad in made if len(bad.value) >= _LARGE_BYTES]


@dataclass(frozen=True, slots=True)
class Planned:
    """One record to be published. `spread` chooses its partition, whatever their number then is."""

    marker: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    expected: Expected
    spread: int


@dataclass(frozen=True)
class Ingredients:
    """What a plan mixes."""

    pool: Sequence[Picture]
    bad: Sequence[BadRecord]
    source_url: str | None = None
    """Of the image source that serves the pool as /ok/<number>.jpg; None: no event names an image_uri."""
    source: str = "/soak"
    """CloudEvents source of all events; with the id it is their identity, so each plan needs its own."""


class Plan:
    """An endless sequence of records: the same seed and ingredients give the same sequence."""

    def __init__(self, seed: int, ingredients: Ingredients) -> None:
        self._choose = random.Random(seed)
        self._with = ingredients
        self._number = 0
        self._repeatable: deque[Planned] = deque(maxlen=_REMEMBERED)
        """Events with an id and an image of their own: what duplicates and conflicts are made of."""
        self._kinds: Mapping[Callable[[], Planned], float] = {
            self._cloud_event: 64,
            self._structured: 5,
            self._plain_json: 4,
            self._without_id: 8,
            self._duplicate: 9,
            self._conflict: 0.8,
            self._tombstone: 0.7,
            self.bad: 2.2,
            self._fetched: 5 if ingredients.source_url else 0,
            self._unfetchable: 0.3 if ingredients.source_url else 0,
        }
        self._weights = list(self._kinds.values())

    def take(self, count: int) -> list[Planned]:
        """The next records."""
        kinds = self._choose.choices(list(self._kinds), self._weights, k=count)
        return [kind() for kind in kinds]

    def bad(self) -> Planned:
        """One that cannot be scored."""
        bad = self._choose.choice(self._with.bad)
        return self._planned(bad.value, bad.headers, Expected("dead", bad.reasons))

    def bad_row(self, count: int, spread: int) -> list[Planned]:
        """`count` of them in one partition."""
        return [replace(self.bad(), spread=spread) for _ in range(count)]

    def _picture(self) -> Picture:
        return self._choose.choice(self._with.pool)

    def _cloud_event(self) -> Planned:
        picture, event_id = self._picture(), self._new_id()
        headers = self._binary(event_id, "image/jpeg")
        return self._keep(self._planned(picture.data, headers, self._scored(event_id, picture)))

    def _structured(self) -> Planned:
        picture, event_id = self._picture(), self._new_id()
        document = {**self._attributes(event_id), "datacontenttype": "image/jpeg", "data_base64": _base64(picture)}
        headers = (("content-type", b"application/cloudevents+json"),)
        return self._keep(self._planned(json.dumps(document).encode(), headers, self._scored(event_id, picture)))

    def _plain_json(self) -> Planned:
        picture, event_id = self._picture(), self._new_id()
        document = {
            "id": event_id,
            "source": self._with.source,
            "image_base64": _base64(picture),
            "sha256": picture.sha256,
        }
        return self._keep(self._planned(json.dumps(document).encode(), (), self._scored(event_id, picture)))

    def _without_id(self) -> Planned:
        picture = self._picture()
        expected = Expected("scored", picture=picture.sha256)
        if self._choose.random() < 0.5:
            return self._planned(picture.data, (), expected)
        return self._planned(json.dumps({"image_base64": _base64(picture)}).encode(), (), expected)

    def _duplicate(self) -> Planned:
        """Of the last one (most likely in the same batch), of a recent one, or of any; to any partition or the same."""
        if not self._repeatable:
            return self._cloud_event()
        back = self._choose.choice((1, 20, len(self._repeatable)))
        original = self._repeatable[-self._choose.randint(1, min(back, len(self._repeatable)))]
        headers = tuple(header for header in original.headers if header[0] != MARKER)
        again = self._planned(original.value, headers, original.expected)
        return replace(again, spread=original.spread) if self._choose.random() < 0.5 else again

    def _conflict(self) -> Planned:
        if not self._repeatable:
            return self._cloud_event()
        original = self._choose.choice(self._repeatable)
        picture = self._picture()
        event_id = original.expected.event_id or ""
        return self._planned(picture.data, self._binary(event_id, "image/jpeg"), self._scored(event_id, picture))

    def _tombstone(self) -> Planned:
        return self._planned(None, (), Expected("tombstone"))

    def _fetched(self) -> Planned:
        number = self._choose.randrange(len(self._with.pool))
        picture, event_id = self._with.pool[number], self._new_id()
        document = {"image_uri": f"{self._with.source_url}/ok/{number}.jpg", "sha256": picture.sha256}
        headers = self._binary(event_id, "application/json")
        return self._planned(json.dumps(document).encode(), headers, self._scored(event_id, picture))

    def _unfetchable(self) -> Planned:
        path, reason = self._choose.choice(_UNFETCHABLE)
        document = {"image_uri": f"{self._with.source_url}{path}", "sha256": "0" * 64}
        headers = self._binary(self._new_id(), "application/json")
        return self._planned(json.dumps(document).encode(), headers, Expected("dead", frozenset({reason})))

    def _scored(self, event_id: str, picture: Picture) -> Expected:
        return Expected("scored", source=self._with.source, event_id=event_id, picture=picture.sha256)

    def _attributes(self, event_id: str) -> dict[str, str]:
        return {"specversion": "1.0", "id": event_id, "source": self._with.source, "type": "io.streamscorer.image"}

    def _binary(self, event_id: str, content_type: str) -> Headers:
        attributes = ((f"ce_{name}", text.encode()) for name, text in self._attributes(event_id).items())
        return (*attributes, ("content-type", content_type.encode()))

    def _new_id(self) -> str:
        return f"e-{self._number}"

    def _planned(self, value: bytes | None, headers: Headers, expected: Expected) -> Planned:
        marker = str(self._number)
        self._number += 1
        key = b"gone" if value is None else self._choose.choice((None, f"k{self._number % 97}".encode()))
        marked = (*headers, (MARKER, marker.encode()))
        return Planned(marker, key, value, marked, expected, self._choose.randrange(_PLACES))

    def _keep(self, planned: Planned) -> Planned:
        self._repeatable.append(planned)
        return planned


def _base64(picture: Picture) -> str:
    return base64.b64encode(picture.data).decode("ascii")
