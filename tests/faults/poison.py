"""Records that must end as dead letters and harm nothing else: by name, with the reason that each must get."""

import base64
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass

from tests.checkpoints import sample_images
from tests.inference.pictures import png, webp_header
from tests.kafka_tools import Header

MAX_IMAGE_BYTES = 8 * 1024 * 1024
"""SCORER_MAX_IMAGE_BYTES that the expectations go by: its default."""


@dataclass(frozen=True, slots=True)
class Poison:
    """One bad record. `reason` is the contract's; None: a tombstone, which becomes nothing at all."""

    value: bytes | None
    headers: list[Header]
    reason: str | None


def event(name: str, **changed: bytes | None) -> list[Header]:
    """Headers of a CloudEvent in binary mode; `changed` replaces attributes, None leaves one out."""
    attributes: dict[str, bytes | None] = {
        "specversion": b"1.0", "id": name.encode(), "source": b"/poison", "type": b"io.streamscorer.image", **changed,
    }  # fmt: skip
    return [(f"ce_{key}", value) for key, value in attributes.items() if value is not None]


def poisons(seed: int = 20) -> dict[str, Poison]:
    """All kinds; the same bytes for the same seed. Ids are the names: who sends one again gives it another id."""
    chance = random.Random(seed)
    jpeg = sample_images()["temple.jpg"]
    tiny = png(4, 4, 2, b"".join(b"\0" + chance.randbytes(12) for _ in range(4)))
    noise = chance.randbytes(2000)
    cut = chance.randrange(len(jpeg) // 4, len(jpeg) // 2)
    typed = ("content-type", b"image/jpeg")
    structured = ("content-type", b"application/cloudevents+json; charset=utf-8")
    cloud = {"specversion": "1.0", "id": "structured", "source": "/poison", "type": "t"}
    images = {
        "truncated JPEG": jpeg[:cut],
        "truncated PNG": tiny[: len(tiny) - 30],
        "JPEG with noise for a body": jpeg[:3] + noise,
        "noise": b"\x01" + noise,
        "text": b"this was meant to be a picture",
        "PDF under image/jpeg": b"%PDF-1.7\n" + noise,
        "ZIP under image/jpeg": b"PK\3\4" + noise,
        "HTML under image/jpeg": b"<!DOCTYPE html><title>502 Bad Gateway</title>",
        "empty PNG": png(0, 0, 2),
    }
    large = {
        "decompression bomb": png(60_000, 60_000, 2),
        "WebP canvas bomb": webp_header(16_384, 16_384),
        "one byte over 8 MB": jpeg + bytes(MAX_IMAGE_BYTES + 1 - len(jpeg)),
    }
    envelopes = {
        "zero bytes": (b"", event("zero bytes")),
        "zero bytes without headers": (b"", []),
        "no ce_source": (jpeg, event("no ce_source", source=None)),
        "ce_specversion 0.3": (jpeg, event("ce_specversion 0.3", specversion=b"0.3")),
        "ce_id is not UTF-8": (jpeg, event("", id=b"\xff\xfe")),
        "ce_id is empty": (jpeg, event("")),
        "ce_time is no time": (jpeg, event("ce_time is no time", time=b"yesterday")),
        "structured, no JSON": (jpeg, [structured]),
        "structured, no data": (json.dumps(cloud).encode(), [structured]),
        "structured, broken base64": (json.dumps(cloud | {"data_base64": "=?="}).encode(), [structured]),
        "plain JSON without a picture": (b'{"id": "x", "source": "/poison"}', []),
        "plain JSON, half of it": (b'{"id": "x", "image_base64": "', []),
        "plain JSON, an array": (b"[1, 2]", []),
        "plain JSON, wrong sha256": (
            json.dumps({"id": "x", "image_base64": base64.b64encode(tiny).decode(), "sha256": "0" * 64}).encode(),
            [],
        ),
        "image_uri without a scheme": (b'{"id": "x", "source": "/poison", "image_uri": "pictures/1.jpg"}', []),
        "schema registry": (b"\0\0\0\0\7" + jpeg, []),
        "neither picture nor JSON": (noise, []),
        "origin is no position": (jpeg, [("streamscorer-origin", b"here")]),
    }
    made = {name: Poison(value, [*event(name), typed], "InvalidImage") for name, value in images.items()}
    made |= {name: Poison(value, [*event(name), typed], "ImageTooLarge") for name, value in large.items()}
    made |= {name: Poison(value, headers, "InvalidEvent") for name, (value, headers) in envelopes.items()}
    refused = b'{"id": "refused", "source": "/poison", "image_uri": "ftp://127.0.0.1/1.jpg"}'
    made["image_uri of a scheme that is not read"] = Poison(refused, [], "SourceRefused")
    made["tombstone"] = Poison(None, event("tombstone"), None)
    return made


POISONS: Mapping[str, Poison] = poisons()
