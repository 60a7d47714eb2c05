"""Read multipart/form-data into memory: no temporary files, so a read-only file system is fine."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from api.problems import InvalidParameter, MalformedRequest

MAX_PARTS = 128


@dataclass(slots=True)
class Part:
    """One part of a form; `name` is empty where its headers give none."""

    name: str = ""
    filename: str | None = None
    data: bytearray = field(default_factory=bytearray)


async def read_parts(body: AsyncIterator[bytes], content_type: str) -> list[Part]:
    """All parts in order. Raises MalformedRequest for a broken form, InvalidParameter for one with too many parts."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise MalformedRequest("the content type multipart/form-data comes without its boundary")
    reader = _Reader()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": reader.part_begins,
                "on_part_data": reader.part_data,
                "on_header_field": reader.header_field,
                "on_header_value": reader.header_value,
                "on_header_end": reader.header_ends,
                "on_end": reader.form_ends,
            },
        )
        async for chunk in body:
            parser.write(chunk)
    except FormParserError as error:
        raise MalformedRequest(f"the body is no well-formed multipart/form-data: {error}") from error
    if not reader.ended:
        raise MalformedRequest("the body ends in the middle of its multipart/form-data, or is empty")
    return reader.parts


class _Reader:
    """What the parser calls back; `data[start:end]` is always the piece that is meant."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.ended = False
        self._field = bytearray()
        self._value = bytearray()

    def part_begins(self) -> None:
        if len(self.parts) == MAX_PARTS:
            raise InvalidParameter(f"the form has more than {MAX_PARTS} parts")
        self.parts.append(Part())

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].data += memoryview(data)[start:end]

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_ends(self) -> None:
        if self._field.lower() == b"content-disposition":
            options = parse_options_header(bytes(self._value))[1]
            self.parts[-1].name = options.get(b"name", b"").decode("utf-8", "replace")
            filename = options.get(b"filename")
            self.parts[-1].filename = None if filename is None else filename.decode("utf-8", "replace")
        self._field.clear()
        self._value.clear()

    def form_ends(self) -> None:
        self.ended = True
