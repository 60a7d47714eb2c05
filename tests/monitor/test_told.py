"""What stands beside a committed offset is read where it is ours, and never believed to be."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.told import Told
from tests.monitor.histories import NOW, said


def test_all_that_a_consumer_tells_is_read() -> None:
    told = Told.read(
        said(NOW, "waiting", why="store: connection refused", since=NOW - 60, oldest=NOW - 90, open=False,
             bound="store", dead=0.25, top_reason="InvalidImage", joins=3)
    )  # fmt: skip
    assert told == Told(
        NOW, "waiting", "store: connection refused", NOW - 60, NOW - 90, 100.0, False, "store", 0.25, "InvalidImage", 3
    )
    assert told.part == "store"


def test_a_held_partition_waits_for_its_source() -> None:
    told = Told.read(said(NOW, "held", why="waiting for the source of offset 7"))
    assert told is not None
    assert (told.part, told.stuck) == ("source", True)


@pytest.mark.parametrize(
    "metadata",
    [
        None, "", "owner=me", "[]", "7", "null", "{}", '{"at": 5, "state": "running"}',
        '{"at": "2026-01-01T00:00:00", "state": "running"}', '{"at": "2026-01-01T00:00:00Z", "state": ["running"]}',
        "[" * 100_000, '{"at": "2026-01-01T00:00:00Z", "state": "running", "rate": 1' + "0" * 400 + "}",
    ],
)  # fmt: skip
def test_metadata_of_others_is_nobodys_word(metadata: str | None) -> None:
    assert Told.read(metadata) is None


@settings(max_examples=40)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists))
def test_fields_of_any_type_do_no_harm(value: Any) -> None:
    names = ("why", "rate", "open", "bound", "dead", "top_reason", "joins")
    for name in names:
        Told.read(said(NOW, **{name: value}))
