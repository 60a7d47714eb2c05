"""Whole columns reach PostgreSQL as they are."""

import math
from typing import LiteralString

import psycopg
import pytest
from psycopg.rows import DictRow

from store import texts
from store.arrays import number_array, text_array

Sql = psycopg.AsyncConnection[DictRow]
ODD = ["", " ", "NULL", "null", '"', "\\", '\\"', "{}", "a,b", "\n\t\x01", "ü", "\U0001f600", '["\\u0041"]', "'", "%s"]


@pytest.mark.parametrize("values", [ODD, [*ODD, None], [None], [""], []])
async def test_text_comes_back_as_it_was(sql: Sql, values: list[str | None]) -> None:
    (row,) = await (await sql.execute("SELECT %s::text[] AS found", [text_array(values)])).fetchall()
    assert row["found"] == values


async def test_every_character_that_is_storable_comes_back(sql: Sql) -> None:
    values = [texts.storable(chr(number)) for number in (*range(0x3000), *range(0xD700, 0xE100))]
    (row,) = await (await sql.execute("SELECT %s::text[] AS found", [text_array(values)])).fetchall()
    assert row["found"] == values


def test_no_column_is_shifted_by_a_value_that_holds_nul() -> None:
    with pytest.raises(ValueError, match="NUL"):
        text_array(["a\x00b", "c"])


QUERIES: dict[str, LiteralString] = {
    "float8": "SELECT %s::float8[] AS found",
    "bigint": "SELECT %s::bigint[] AS found",
}


@pytest.mark.parametrize("kind", ["float8", "bigint"])
async def test_numbers_come_back_bit_for_bit(sql: Sql, kind: str) -> None:
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, math.inf] if kind == "float8" else [0, -(2**63), 2**62]
    (row,) = await (await sql.execute(QUERIES[kind], [number_array(values)])).fetchall()
    assert [repr(value) for value in row["found"]] == [repr(value) for value in values]
