"""POST /predict and /predict/batch: images in, predictions out; nothing is written."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from api.images import Image, read_image, read_images
from api.problems import RequestFault, problem_of
from api.responses import describe
from api.services import Services, ServicesOf
from api.waiting import while_connected
from errors import Invalid, Transient
from schemas.events import ImageRef
from schemas.http import MAX_BATCH_IMAGES, BatchInput, BatchResults, ImageInput, PredictionResult, ProblemResult
from schemas.predictions import Prediction

router = APIRouter(tags=["predict"])
_IN_FLIGHT = 16
"""Images of one batch in the core at once: a batch alone must not fill the queue that others wait in."""

_BINARY = {"type": "string", "format": "binary"}
IMAGE_BODY: dict[str, Any] = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "required": ["file"],
            "properties": {"file": {**_BINARY, "description": "the image"}},
        }
    },
    "image/*": {"schema": {**_BINARY, "description": "the encoded image itself; any other content type will do"}},
}
_ONE = {"required": True, "content": IMAGE_BODY | {"application/json": {"schema": ImageInput.model_json_schema()}}}
_MANY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {"files": {"type": "array", "items": _BINARY, "maxItems": MAX_BATCH_IMAGES}},
            }
        },
        "application/json": {"schema": BatchInput.model_json_schema()},
    },
}


class PredictQuery(BaseModel):
    """Parameters of POST /predict and /predict/batch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top_k: int | None = Field(default=None, ge=1, le=1000, description="classes that an answer lists (default: TOP_K)")


@router.post(
    "/predict",
    operation_id="predict",
    summary="Score one image",
    response_description="The model's answer",
    responses=describe(400, 413, 415, 422, 503),
    openapi_extra={"requestBody": _ONE},
)
async def predict(request: Request, services: ServicesOf, query: Annotated[PredictQuery, Query()]) -> Prediction:
    """Takes a form with the field `file`, the encoded image as the body, or JSON with `image_base64` or `image_uri`.

    The image is JPEG, PNG, WebP, GIF (its first frame) or BMP. Nothing is stored.
    """
    image = await read_image(request, services.settings.max_image_bytes)
    return await while_connected(request, _score(services, image, query.top_k))


@router.post(
    "/predict/batch",
    operation_id="predict_batch",
    summary="Score several images",
    response_description="One result an image, in order",
    responses=describe(400, 413, 422),
    openapi_extra={"requestBody": _MANY},
)
async def predict_batch(
    request: Request, services: ServicesOf, query: Annotated[PredictQuery, Query()]
) -> BatchResults:
    """Takes a form with `files` repeated, or JSON with `images`. An image that cannot be scored fails alone:
    its result has a `problem` in place of a `prediction`."""
    images = await read_images(request, services.settings.max_image_bytes)
    return await while_connected(request, _score_all(services, images, query.top_k))


async def _score(services: Services, image: Image, top_k: int | None) -> Prediction:
    if isinstance(image, ImageRef):
        image = await services.fetcher.fetch(image)
    deadline_s = services.settings.max_wait_s
    prediction = await services.core.score(image, "interactive", top_k=top_k, deadline_s=deadline_s)
    if services.tracing is not None:
        services.tracing.predicted(prediction.timings_ms)
    return prediction


async def _score_all(services: Services, images: Sequence[Image | RequestFault], top_k: int | None) -> BatchResults:
    room = asyncio.Semaphore(_IN_FLIGHT)

    async def one(image: Image | RequestFault) -> PredictionResult | ProblemResult:
        try:
            if isinstance(image, RequestFault):
                raise image
            async with room:
                return PredictionResult(prediction=await _score(services, image, top_k))
        except (RequestFault, Invalid, Transient) as error:
            return ProblemResult(problem=problem_of(error))

    tasks = [asyncio.create_task(one(image), name="batch-image") for image in images]
    try:
        return BatchResults(results=await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
