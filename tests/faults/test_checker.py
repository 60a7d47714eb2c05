"""The judge finds each planted defect, names it where it is, and finds nothing in a clean history."""

from dataclasses import replace
from typing import Any

import pytest

from tests.faults.checker import check
from tests.faults.history import MARKER, ORIGIN, Expected, Headers, History, Kept, LetterRow, Sample, ScoreRow, Sent

CLUSTER, TOPIC, SOURCE = "c", "t", "/camera"
AT_MS = 1_700_000_000_000
REFERENCE = {"aa": (3, 0.5), "bb": (7, 0.25)}


def headers(marker: str) -> Headers:
    return (("ce_id", b"x"), (MARKER, marker.encode()))


def kept(partition: int, offset: int, marker: str, value: str | None) -> Kept:
    return Kept(partition, offset, AT_MS + offset, b"k", value, headers(marker))


def scored(event_id: str | None, picture: str) -> Expected:
    return Expected("scored", source=SOURCE if event_id else None, event_id=event_id, picture=picture)


def score(place: tuple[int, int], event_id: str, picture: str, seen: int) -> ScoreRow:
    return ScoreRow(place, AT_MS + place[1], SOURCE, event_id, "m-1", REFERENCE[picture], picture, seen)


def dead(place: tuple[int, int], marker: str, reason: str, value: str, seen: int) -> LetterRow:
    return LetterRow(place, AT_MS + place[1], reason, "in words", b"k", value, headers(marker), seen)


def letter(offset: int, of: Kept) -> Kept:
    origin = f"{CLUSTER}/{TOPIC}/{of.partition}/{of.offset}/{of.timestamp_ms}"
    where = {"__dlq.errors.partition": str(of.partition), "__dlq.errors.offset": str(of.offset), ORIGIN: origin}
    added = tuple((name, text.encode()) for name, text in where.items())
    return Kept(0, offset, AT_MS, of.key, of.value, (*of.headers, *added))


def clean() -> History:
    """Partition 0: a score, its duplicate, a conflict, a poison. Partition 1: a tombstone, an event without an id."""
    records = [
        kept(0, 0, "1", "aa"), kept(0, 1, "2", "aa"), kept(0, 2, "3", "bb"), kept(0, 3, "4", "poison"),
        kept(1, 0, "5", None), kept(1, 1, "6", "bb"),
    ]  # fmt: skip
    sent = [
        Sent("1", scored("a", "aa"), (0, 0)),
        Sent("2", scored("a", "aa"), (0, 1)),
        Sent("3", scored("a", "bb"), (0, 2)),
        Sent("4", Expected("dead", frozenset({"InvalidImage"})), (0, 3)),
        Sent("5", Expected("tombstone"), (1, 0)),
        Sent("6", scored(None, "bb"), None),
        Sent("7", scored("never", "bb"), None),
    ]
    without_id = replace(
        score((1, 1), f"1:1:{AT_MS + 1}", "bb", seen=1), source=f"kafka:{CLUSTER}/{TOPIC}"
    )  # fmt: skip
    return History(
        cluster=CLUSTER, topic=TOPIC, sent=sent, records=records,
        letters=[letter(0, records[2]), letter(1, records[3]), letter(2, records[3])],
        scores=[score((0, 0), "a", "aa", seen=0), without_id],
        dead_letters=[dead((0, 2), "3", "Conflict", "bb", seen=1), dead((0, 3), "4", "InvalidImage", "poison", seen=2)],
        reference=REFERENCE,
        committed={0: 4, 1: 2}, ends={0: 4, 1: 2},
        samples=[Sample(10.0, {0: 2, 1: 1}), Sample(11.0, {0: 3, 1: 2})],
    )  # fmt: skip


def found(history: History) -> dict[str, list[tuple[int, int]]]:
    verdict = check(history)
    return {kind: [one.place for one in findings] for kind, findings in verdict.findings().items() if findings}


def test_a_clean_history_is_clean() -> None:
    verdict = check(clean())
    assert verdict.ok, verdict.findings()
    assert verdict.fates == {"scored": 2, "duplicate": 1, "conflict": 1, "dead letter": 1, "tombstone": 1}
    assert verdict.summary.startswith("6 records: 0 lost, 0 doubled, 0 wrong, 0 committed too far")


def without(history: History, name: str, place: int) -> History:
    rows: list[Any] = list(getattr(history, name))
    del rows[place]
    altered: dict[str, Any] = {name: rows}
    return replace(history, **altered)


def changed(history: History, name: str, place: int, **changes: Any) -> History:
    rows: list[Any] = list(getattr(history, name))
    rows[place] = replace(rows[place], **changes)
    altered: dict[str, Any] = {name: rows}
    return replace(history, **altered)


def added(history: History, name: str, row: Any) -> History:
    more: dict[str, Any] = {name: [*getattr(history, name), row]}
    return replace(history, **more)


def test_a_lost_score_is_found_and_its_commit_was_too_far() -> None:
    assert found(without(clean(), "scores", 1)) == {"lost": [(1, 1)], "too far": [(1, 1)]}


def test_a_lost_dead_letter_is_found() -> None:
    history = without(clean(), "dead_letters", 1)
    assert found(history) == {"lost": [(0, 3)], "wrong": [(0, 3)], "too far": [(0, 3)]}


def test_an_acknowledged_record_that_is_not_in_the_topic_is_lost() -> None:
    history = changed(clean(), "sent", 6, at=(1, 2))
    assert found(history) == {"lost": [(1, 2)]}


def test_a_duplicate_without_its_row_is_lost() -> None:
    history = without(clean(), "scores", 0)
    assert (0, 1) in found(history)["lost"]


def test_a_conflict_that_nobody_noticed_is_lost() -> None:
    history = without(without(clean(), "dead_letters", 0), "letters", 0)
    assert found(history) == {"lost": [(0, 2)], "too far": [(0, 2)]}


def test_a_row_that_was_written_twice_is_doubled() -> None:
    assert found(added(clean(), "scores", score((0, 1), "a", "aa", seen=0))) == {"doubled": [(0, 1)]}


def test_a_record_under_two_identities_is_doubled() -> None:
    assert found(added(clean(), "scores", score((0, 0), "b", "aa", seen=0))) == {"doubled": [(0, 0)]}


def test_a_score_and_a_dead_letter_are_doubled() -> None:
    history = added(clean(), "dead_letters", dead((0, 0), "1", "ProcessCrashed", "aa", seen=1))
    history = added(history, "letters", letter(3, history.records[0]))
    assert found(history) == {"doubled": [(0, 0)]}


def test_two_dead_letters_of_one_record_are_doubled() -> None:
    again = dead((0, 3), "4", "InvalidImage", "poison", seen=2)
    assert found(added(clean(), "dead_letters", again)) == {"doubled": [(0, 3)]}


def test_a_commit_too_far_during_the_run_is_found_though_the_end_is_good() -> None:
    history = replace(clean(), samples=[Sample(10.0, {0: 2, 1: 1}), Sample(11.0, {0: 4, 1: 2})])
    assert found(history) == {"too far": [(0, 3)]}
    assert check(history).too_far[0].sample == 1


def test_a_commit_beyond_the_end_is_found() -> None:
    assert found(replace(clean(), committed={0: 5, 1: 2})) == {"too far": [(0, 5)]}


def test_a_lag_that_stays_is_found() -> None:
    assert found(replace(clean(), committed={0: 4, 1: 1})) == {"wrong": [(1, 1)]}


@pytest.mark.parametrize("answer", [(4, 0.5), (3, 0.502)])
def test_a_wrong_score_is_found(answer: tuple[int, float]) -> None:
    assert found(changed(clean(), "scores", 0, answer=answer)) == {"wrong": [(0, 0)]}


def test_a_score_of_another_picture_is_found() -> None:
    assert (0, 0) in found(changed(clean(), "scores", 0, picture="bb", answer=REFERENCE["bb"]))["wrong"]


def test_a_row_that_was_changed_is_found() -> None:
    assert found(changed(clean(), "scores", 0, changed=True)) == {"wrong": [(0, 0)]}


def test_a_row_of_no_record_is_found() -> None:
    assert found(added(clean(), "scores", score((5, 5), "z", "aa", seen=0))) == {"wrong": [(5, 5)]}


def test_a_letter_that_is_missing_on_the_topic_is_found() -> None:
    assert found(without(clean(), "letters", 0)) == {"wrong": [(0, 2)]}


@pytest.mark.parametrize(
    "change", [{"value": "other"}, {"key": b"other"}, {"headers": (("ce_id", b"y"), (MARKER, b"3"))}]
)
def test_a_letter_that_was_altered_is_found(change: dict[str, Any]) -> None:
    history = clean()
    good = history.letters[0]
    tail = good.headers[2:]
    if "headers" in change:
        change = {"headers": (*change["headers"], *tail)}
    assert found(changed(history, "letters", 0, **change)) == {"wrong": [(0, 2)]}


def test_a_letter_with_another_origin_is_found() -> None:
    history = clean()
    headers = tuple((name, b"elsewhere" if name == ORIGIN else value) for name, value in history.letters[0].headers)
    assert found(changed(history, "letters", 0, headers=headers)) == {"wrong": [(0, 2)]}


def test_a_letter_that_does_not_say_where_from_is_found() -> None:
    history = clean()
    assert found(added(history, "letters", replace(history.records[0], headers=()))) == {"wrong": [(-1, -1)]}


def test_a_row_with_an_altered_value_is_found() -> None:
    assert found(changed(clean(), "dead_letters", 1, value="other")) == {"wrong": [(0, 3)]}


def test_a_letter_of_a_record_that_was_scored_is_found() -> None:
    history = clean()
    assert found(added(history, "letters", letter(3, history.records[0]))) == {"wrong": [(0, 0)]}


def test_a_good_record_that_was_dead_lettered_is_found() -> None:
    history = without(clean(), "scores", 1)
    history = added(history, "dead_letters", dead((1, 1), "6", "EngineRejected", "bb", seen=1))
    history = added(history, "letters", letter(3, history.records[5]))
    assert found(history) == {"wrong": [(1, 1)]}


def test_a_reason_that_was_not_expected_is_found() -> None:
    assert found(changed(clean(), "dead_letters", 1, reason="ProcessCrashed")) == {"wrong": [(0, 3)]}


def test_a_record_that_nobody_sent_is_found() -> None:
    assert found(added(clean(), "records", kept(1, 2, "99", "aa")))["wrong"] == [(1, 2)]


def test_a_tombstone_with_a_row_is_found() -> None:
    assert found(added(clean(), "scores", score((1, 0), "t", "aa", seen=0))) == {"wrong": [(1, 0)]}
