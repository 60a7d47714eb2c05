"""From a request's body to images, in the forms that /predict, /predict/batch and /events share."""

import asyncio
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from api.bodies import BATCH_FACTOR, MULTIPART_OVERHEAD, chunks, content_type, is_json, json_limit, read_body
from api.multipart import Part, read_parts
from api.problems import InvalidParameter, MalformedRequest
from api.responses import explain
from errors import InvalidEvent
from schemas.digests import sha256_hex
from schemas.events import ImageRef
from schemas.fields import checked_base64
from schemas.http import MAX_BATCH_IMAGES, BatchInput, EventInput, ImageInput

Image = bytes | ImageRef
Model = TypeVar("Model", bound=BaseModel)


async def read_image(request: Request, max_image_bytes: int) -> Image:
    """The one image of a request: form field `file`, JSON, or the body itself.

    Raises MalformedRequest, InvalidParameter, BodyTooLarge. Any content type but a form's or JSON's is taken for an
    image (curl sends application/x-www-form-urlencoded); the core tells what is none.
    """
    return (await read_event(request, max_image_bytes, ImageInput))[0]


async def read_event(
    request: Request, max_image_bytes: int, model: type[ImageInput] = EventInput
) -> tuple[Image, ImageInput | None]:
    """Like read_image, with the JSON body where there is one. Raises what read_image raises."""
    media_type = content_type(request)
    if media_type.startswith("multipart/"):
        return await _form_file(request, max_image_bytes), None
    if is_json(media_type):
        body = await read_body(request, json_limit(max_image_bytes))
        return await asyncio.to_thread(_parse_image, model, body)
    return await read_body(request, max_image_bytes), None


async def read_images(request: Request, max_image_bytes: int) -> list[Image | InvalidParameter]:
    """The images of a batch in order, wrong elements of the JSON form as what is wrong with them.

    Raises MalformedRequest, InvalidParameter, BodyTooLarge for the request as a whole.
    """
    media_type = content_type(request)
    if media_type.startswith("multipart/"):
        parts = await _parts(request, BATCH_FACTOR * max_image_bytes + MULTIPART_OVERHEAD)
        files = [part for part in parts if part.name == "files"]
        if not files:
            raise InvalidParameter(f"the form has no field 'files' with images; {_names(parts)}")
        if len(files) > MAX_BATCH_IMAGES:
            raise InvalidParameter(f"the form has {len(files)} files, a batch takes at most {MAX_BATCH_IMAGES}")
        return [bytes(part.data) for part in files]
    if not is_json(media_type):
        raise MalformedRequest(
            f"a batch comes as multipart/form-data or application/json, not as {media_type or 'nothing'!r}"
        )
    body = await read_body(request, json_limit(BATCH_FACTOR * max_image_bytes))
    return await asyncio.to_thread(_parse_batch, body)


async def _form_file(request: Request, max_image_bytes: int) -> bytes:
    parts = await _parts(request, max_image_bytes + MULTIPART_OVERHEAD)
    files = [part for part in parts if part.name == "file"]
    if not files:
        raise InvalidParameter(f"the form has no field 'file' with an image; {_names(parts)}")
    if len(files) > 1:
        raise InvalidParameter(f"the form has {len(files)} fields 'file': send one image, or use /predict/batch")
    if not files[0].data:
        raise InvalidParameter("the form's field 'file' is empty")
    return bytes(files[0].data)


async def _parts(request: Request, limit: int) -> list[Part]:
    return await read_parts(chunks(request, limit), request.headers["content-type"])


def _names(parts: list[Part]) -> str:
    return "its fields are: " + ", ".join(repr(part.name[:40]) for part in parts[:8]) if parts else "it has no fields"


def _parse(model: type[Model], body: bytes) -> Model:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False)
        if found[0]["type"] == "json_invalid":
            raise MalformedRequest(f"the body is not JSON in UTF-8: {found[0]['ctx']['error']}") from None
        raise explain(found) from None


def _parse_image(model: type[ImageInput], body: bytes) -> tuple[Image, ImageInput]:
    document = _parse(model, body)
    return _image_of(document), document


def _parse_batch(body: bytes) -> list[Image | InvalidParameter]:
    return [_element(value) for value in _parse(BatchInput, body).images]


def _element(value: Any) -> Image | InvalidParameter:
    try:
        given = {"image_base64": value} if isinstance(value, str) else value
        return _image_of(ImageInput.model_validate(given))
    except ValidationError as error:
        return explain(error.errors(include_url=False))
    except InvalidParameter as error:
        return error


def _image_of(document: ImageInput) -> Image:
    if document.image_uri is not None:
        return ImageRef(document.image_uri, document.sha256)
    try:
        image = checked_base64("image_base64", document.image_base64)
    except InvalidEvent as error:
        raise InvalidParameter(str(error)) from error
    if not image:
        raise InvalidParameter("image_base64 is empty")
    if document.sha256 is not None and (actual := sha256_hex(image)) != document.sha256:
        raise InvalidParameter(f"sha256={document.sha256}: the image has {actual}, it was changed on its way")
    return image
