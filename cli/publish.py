"""`publish`: pictures to the topic, resumable by id."""

import asyncio
import os
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.exits import FAILED, say_error
from cli.options import with_settings
from cli.output import line, printable
from cli.patience import patiently
from cli.pictures import Missing, Paths, Picture, Pictures
from cli.pipeline import in_order
from errors import Invalid, SourceNotFound, UsageError
from settings import KafkaSettings, Settings

if TYPE_CHECKING:
    from broker.publisher import Publisher
    from schemas.envelope import Form
    from schemas.events import ImageEvent
    from tracing.spans import Tracing

SOURCE: Final = "streamscorer-publish"
_AT_ONCE: Final = 32
"""Unacknowledged records; times SCORER_MAX_IMAGE_BYTES it bounds the memory."""


class IdFrom(StrEnum):
    """What an event's id is made of."""

    PATH = "path"
    SHA256 = "sha256"


class FormName(StrEnum):
    """How an event is written."""

    BINARY = "binary"
    STRUCTURED = "structured"
    IMAGE = "image"
    JSON = "json"


_FORMS: "Final[dict[FormName, Form]]" = {
    FormName.BINARY: "binary",
    FormName.STRUCTURED: "structured",
    FormName.IMAGE: "plain-image",
    FormName.JSON: "plain-json",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How pictures become records: what the manifest does not say, and the envelope."""

    source: str = SOURCE
    uri: bool = False
    id_from: IdFrom = IdFrom.PATH
    form: "Form" = "binary"
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class _Way:
    """How records get to Kafka."""

    publisher: "Publisher"
    tracing: "Tracing | None"
    traceparent: str | None
    """Of whoever runs the command, where the variable TRACEPARENT says so."""


@with_settings(KafkaSettings, "start_timeout_s", "max_image_bytes")
def publish(
    settings: Settings,
    paths: Annotated[list[str] | None, typer.Argument(metavar="PATH...", show_default=False)] = None,
    source: Annotated[str, typer.Option(help="Source of the events; with the id it names an event for good.")] = SOURCE,
    rate: Annotated[float | None, typer.Option(min=0.001, metavar="N", help="At most N events a second.")] = None,
    uri: Annotated[
        bool, typer.Option("--uri", help="Send where a file is (file://...), not its bytes: see SCORER_URI_FILE_ROOTS.")
    ] = False,
    manifest: Annotated[
        Path | None,
        typer.Option(help="A .parquet, .csv or .ndjson with a column path or image_uri; optional id, source, sha256."),
    ] = None,
    id_from: Annotated[
        IdFrom,
        typer.Option(
            help="Where the manifest has no id: the picture's path below the working directory (or its URI), "
            "or the digest of its bytes."
        ),
    ] = IdFrom.PATH,
    form: Annotated[
        FormName,
        typer.Option(help="A CloudEvent (binary, structured), the bare image (without its id), or plain JSON."),
    ] = FormName.BINARY,
) -> int:
    """Publish pictures to Kafka.

    They are files, folders with all below, globs, or the rows of a manifest. Ids are the same in each run: what was
    interrupted can simply be published again, and is scored once.
    """
    from cli.manifest import Manifest

    if bool(paths) == bool(manifest):
        raise UsageError("give the pictures as PATH... or as --manifest FILE, one of the two")
    if form is FormName.IMAGE and uri:
        raise UsageError("--form image sends bytes and --uri sends none: leave one of them out")
    pictures: Pictures = Manifest(manifest) if manifest else Paths(paths or [])
    plan = Plan(source, uri, id_from, _FORMS[form], rate)
    published, failed = asyncio.run(publish_all(settings, pictures, plan))
    line(f"published {published}, failed {failed}")
    return FAILED if failed else 0


async def publish_all(settings: Settings, pictures: Pictures, plan: Plan) -> tuple[int, int]:
    """Publish `pictures` with a progress bar; how many were acknowledged, and how many failed (named on stderr).

    Raises DependencyAway when Kafka stays away, UsageError without the topic, CommandFailed when it refuses.
    """
    from broker.publisher import open_publisher
    from broker.topics import inspect
    from cli.progress import progress
    from schemas.fields import valid_traceparent
    from tracing.opening import open_tracing

    published = failed = 0
    async with open_tracing() as tracing, open_publisher(settings) as publisher:
        way = _Way(publisher, tracing, valid_traceparent(os.environ.get("TRACEPARENT")))
        await patiently(lambda: inspect(settings, [settings.kafka_topic]), settings.start_timeout_s)
        with progress("publishing", lambda: len(pictures)) as advance:
            results = in_order(
                pictures, lambda picture: _publish(picture, way, settings, plan), _AT_ONCE, per_second=plan.rate
            )
            async with aclosing(results):
                async for trouble in results:
                    advance(1)
                    if trouble is None:
                        published += 1
                    else:
                        failed += 1
                        say_error(printable(trouble))
    return published, failed


async def _publish(picture: Picture | Missing, way: _Way, settings: Settings, plan: Plan) -> str | None:
    """None when Kafka has the record, else the picture and what is wrong with it."""
    from broker.traced import publish_traced
    from schemas.envelope import encode_event

    if isinstance(picture, Missing):
        return f"{picture.name}: {picture.reason}"
    try:
        event = await asyncio.to_thread(_event, picture, settings.max_image_bytes, plan)
        record = encode_event(replace(event, traceparent=way.traceparent), plan.form)
        await patiently(
            lambda: publish_traced(way.publisher, way.tracing, settings.kafka_topic, record, way.traceparent),
            settings.start_timeout_s,
        )
    except Invalid as error:
        return f"{picture.name}: {error}"
    return None


def _event(picture: Picture, max_bytes: int, plan: Plan) -> "ImageEvent":
    """The event for a picture. Reads the file where its bytes are sent or its digest is the id."""
    from schemas.digests import sha256_hex
    from schemas.events import ImageEvent, ImageRef

    is_file = isinstance(picture.place, Path)
    by_digest = picture.id is None and plan.id_from is IdFrom.SHA256
    data = picture.read(max_bytes) if is_file and (by_digest or not plan.uri) else None
    digest = sha256_hex(data) if data is not None else picture.sha256
    if by_digest and digest is None:
        raise SourceNotFound("--id-from sha256 needs a column sha256 for an image_uri, whose bytes are not here")
    image = ImageRef(picture.uri, digest) if data is None or plan.uri else data
    return ImageEvent(
        source=picture.source or plan.source,
        id=picture.id or (str(digest) if by_digest else picture.name),
        image=image,
        event_time=datetime.now(UTC),
        sha256=picture.sha256,
    )
