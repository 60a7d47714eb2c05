"""`openapi`: the HTTP interface as a document, without starting anything."""

from cli.options import with_settings
from cli.output import json_line
from settings import Settings


@with_settings(logs=None)
def openapi(settings: Settings) -> None:  # noqa: ARG001  (every command gets them)
    """Print the HTTP interface as an OpenAPI document (JSON)."""
    from api.app import openapi_document

    json_line(openapi_document())
