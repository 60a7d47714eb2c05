"""POST /events: image events over HTTP into Kafka; accepted means that Kafka has acknowledged."""

import asyncio
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from api.addresses import score_address
from api.bodies import BATCH_FACTOR, content_type, json_limit, read_body
from api.images import Image, read_event
from api.predict import IMAGE_BODY
from api.problems import BodyTooLarge, InvalidParameter
from api.responses import describe
from api.services import Services, ServicesOf, VitalsOf
from api.waiting import WaitSeconds, arrival, while_connected
from broker.traced import publish_traced
from errors import BrokerUnavailable, Conflict, ImageTooLarge, InvalidEvent, StoreUnavailable, UnsupportedImage
from schemas.envelope import encode_event
from schemas.events import ImageEvent
from schemas.fields import valid_traceparent
from schemas.http import MAX_BATCH_IMAGES, Accepted, EventInput
from schemas.http_events import BATCHED, HttpEvent, from_http, is_cloudevent
from schemas.image_formats import READ_BY_CORE, image_format
from schemas.scores import Score

router = APIRouter(tags=["events"])
SOURCE = "/events"
_FAULTS = (400, 409, 413, 415, 422, 503)
_CLOUD = {"schema": {"type": "object", "description": "a CloudEvent with data_base64, or data: {image_uri}"}}
_BODY = {
    "required": True,
    "content": IMAGE_BODY
    | {
        "application/json": {"schema": EventInput.model_json_schema()},
        "application/cloudevents+json": _CLOUD,
        BATCHED: {"schema": {"type": "array", "items": _CLOUD["schema"], "maxItems": MAX_BATCH_IMAGES}},
    },
}


class EventQuery(BaseModel):
    """Parameters of POST /events."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str | None = Field(default=None, min_length=1, description="of the event, for a form or a raw image")
    source: str | None = Field(default=None, min_length=1, description=f"of the event (default: {SOURCE})")
    wait_s: WaitSeconds = 0.0


@router.post(
    "/events",
    operation_id="publish_event",
    summary="Publish an image event to Kafka",
    status_code=202,
    response_model=Accepted | list[Accepted],
    response_description="Kafka has acknowledged it; Location is where its score will be",
    responses={200: {"model": Score, "description": "It was scored within wait_s"}, **describe(*_FAULTS)},
    openapi_extra={"requestBody": _BODY},
)
async def publish(
    request: Request, services: ServicesOf, vitals: VitalsOf, query: Annotated[EventQuery, Query()]
) -> Response:
    """Takes the bodies of /predict, whose JSON may have `id` and `source` as well, or CloudEvents: in binary mode
    (`ce-` headers), structured, or batched (answered with a list).

    Send an event again with the same source and id when the answer got lost: it is scored once.
    """
    if content_type(request) == BATCHED:
        return await _publish_batch(request, services, query)
    [item] = await _read(request, services, query)
    accepted = await _publish(services, item)
    headers = {"Location": score_address(accepted.source, accepted.id)}
    if query.wait_s:
        wait_s = min(query.wait_s, services.settings.max_wait_s)
        score = None
        # Kafka has it already: a store that is away must not make the caller send it again.
        with suppress(StoreUnavailable):
            score = await while_connected(request, _scored(services, item.event, wait_s, vitals.stopping))
        if score is not None:
            return Response(score.model_dump_json(), 200, headers, media_type="application/json")
    return JSONResponse(accepted.model_dump(), 202, headers)


async def _publish_batch(request: Request, services: Services, query: EventQuery) -> Response:
    if query.wait_s:
        raise InvalidParameter(f"wait_s={query.wait_s:g}: a batch is not waited for, ask /scores for each event")
    items = await _read(request, services, query)
    if len(items) > MAX_BATCH_IMAGES:
        raise InvalidParameter(f"the batch has {len(items)} events, it may have {MAX_BATCH_IMAGES}")
    outcomes = await asyncio.gather(*(_publish(services, item) for item in items), return_exceptions=True)
    done = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    for outcome in outcomes:
        if isinstance(outcome, BrokerUnavailable):
            raise BrokerUnavailable(
                f"{len(done)} of {len(items)} events are acknowledged, send all of them again: {outcome}"
            )
        if isinstance(outcome, BaseException):
            raise outcome
    return JSONResponse([accepted.model_dump() for accepted in done], 202)


async def _read(request: Request, services: Services, query: EventQuery) -> list[HttpEvent]:
    """The events of the body, none of which the consumer would refuse unseen."""
    limit = services.settings.max_image_bytes
    if is_cloudevent(request.headers):
        _identity_only_once(query)
        if content_type(request).startswith("multipart/"):
            raise InvalidEvent("a CloudEvent in binary mode has the image as its body, not a form")
        factor = BATCH_FACTOR if content_type(request) == BATCHED else 1
        body = await read_body(request, json_limit(factor * limit))
        items = await asyncio.to_thread(from_http, request.headers, body)
    else:
        image, document = await read_event(request, limit)
        if isinstance(document, EventInput):
            _identity_only_once(query)
        items = [await asyncio.to_thread(_encode, request, image, document or query)]
    for item in items:
        _check(item.event.image, limit)
    return items


def _identity_only_once(query: EventQuery) -> None:
    if query.id is not None or query.source is not None:
        raise InvalidParameter("id and source stand in the body of this form: leave the parameters out")


def _encode(request: Request, image: Image, given: Any) -> HttpEvent:
    event = ImageEvent(
        source=given.source or SOURCE,
        id=given.id or str(uuid.uuid4()),
        image=image,
        event_time=datetime.now(UTC),
        sha256=getattr(given, "sha256", None),
        traceparent=valid_traceparent(request.headers.get("traceparent")),
    )
    return HttpEvent(event, encode_event(event))


def _check(image: Image, max_bytes: int) -> None:
    if not isinstance(image, bytes):
        return
    if len(image) > max_bytes:
        raise ImageTooLarge(f"the image has {len(image)} bytes, the limit is {max_bytes} (SCORER_MAX_IMAGE_BYTES)")
    kind = image_format(image)
    if kind not in READ_BY_CORE:
        raise UnsupportedImage(
            f"the bytes are {kind or 'no image'} (they begin with {image[:8].hex(' ')}): "
            f"send one of {', '.join(sorted(READ_BY_CORE))}"
        )


async def _publish(services: Services, item: HttpEvent) -> Accepted:
    event, topic = item.event, services.settings.kafka_topic
    try:
        at = await publish_traced(services.publisher, services.tracing, topic, item.message, event.traceparent)
    except InvalidEvent as error:  # the topic takes less than we do
        raise BodyTooLarge(str(error)) from error
    return Accepted(source=event.source, id=event.id, topic=at.topic, partition=at.partition, offset=at.offset)


async def _scored(services: Services, event: ImageEvent, wait_s: float, stopping: asyncio.Event) -> Score | None:
    async def ask() -> Score | None:
        found = await services.store.find(event.id, event.source, None)
        return found[0] if found else None

    score = await arrival(services.store, ask, wait_s, stopping)
    if score is None:
        return None
    asked = await asyncio.to_thread(event.digest) if isinstance(event.image, bytes) else event.sha256
    if asked is not None and asked != score.image.sha256:
        raise Conflict(
            f"the event {event.id!r} of {event.source!r} was scored with another picture "
            f"(sha256 {score.image.sha256}): this one goes to the dead letters; take another id"
        )
    return score
