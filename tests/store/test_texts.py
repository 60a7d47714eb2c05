"""What producers write fits into PostgreSQL, whatever it is."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Coordinates
from store import texts
from store.rows import record_time

any_text = st.text(st.characters(), max_size=3000)


@given(any_text)
def test_keys_are_storable_and_short(text: str) -> None:
    key = texts.key(text)
    assert len(key.encode()) <= 1000
    assert "\x00" not in key
    assert texts.key(key) == key


@given(any_text, any_text)
def test_different_identities_stay_different(one: str, other: str) -> None:
    assert (texts.key(one) == texts.key(other)) == (one == other)


def test_nul_and_surrogates_do_not_make_two_identities_one() -> None:
    originals = ["a\x00", "a\ud800", "a\ufffd", "a"]
    assert len({texts.key(original) for original in originals}) == 4


def test_long_text_says_that_it_was_cut() -> None:
    assert texts.shortened("abc", 3) == "abc"
    assert texts.shortened("abcd", 3) == "ab…"


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_timestamp_is_a_time(timestamp_ms: int) -> None:
    time = record_time(Coordinates("c", "t", 0, 0, timestamp_ms))
    assert datetime(1, 1, 1, tzinfo=UTC) < time < datetime(9999, 12, 31, tzinfo=UTC)
