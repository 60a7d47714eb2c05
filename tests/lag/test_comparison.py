"""The comparison finds what is not the same, and takes no difference for granted."""

from typing import Any

from broker.samples import Place
from schemas.lag import PartitionLag
from tests.lag.burrow import Judged
from tests.lag.comparison import Row, differences, table
from tests.lag.consumer_groups import Described, parse

PRINTED = """
Consumer group 'g' has no active members.

GROUP  TOPIC  PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST        CLIENT-ID
g      t      0          3               5               2    c-1f2e3d4c5b /127.0.0.1  c
g      t      1          -               7               -    -            -           -
"""
ALL = {
    "topic": "t", "partition": 0, "status": "OK", "reason": "", "since": None, "state": None, "time_lag_s": None,
    "time_lag_from": None, "last_commit_age_s": None, "consumed_per_s": None, "produced_per_s": None, "eta_s": None,
    "lag": 2, "committed_offset": 3, "beginning_offset": 0, "end_offset": 5, "owner": "c-1f2e3d4c@127.0.0.1",
}  # fmt: skip


def row(*, open_records: int = 0, kafka: Described | None = None, burrow: Judged | None = None, **ours: Any) -> Row:
    return Row(
        "alive", "g", Place("t", 0), "", open_records, PartitionLag(**{**ALL, **ours}), "OK",
        kafka or Described(3, 5, 2, "c-1f2e3d4c5b", "127.0.0.1"), burrow or Judged("OK", 3, 2, 2, 2), has_burrow=True,
    )  # fmt: skip


def found(row: Row) -> dict[str, bool]:
    """Each difference, and whether it has a reason."""
    return {one.figure: one.reason is not None for one in differences(row)}


def test_kafkas_table_is_read_by_the_names_of_its_columns() -> None:
    assert parse(PRINTED) == {
        Place("t", 0): Described(3, 5, 2, "c-1f2e3d4c5b", "127.0.0.1"),
        Place("t", 1): Described(None, 7, None, None, None),
    }
    assert parse("Error: nothing") == {}


def test_what_is_the_same_is_no_difference() -> None:
    assert differences(row()) == []


def test_a_figure_that_is_wrong_has_no_reason() -> None:
    assert found(row(lag=1)) == {"lag": False, "lag (Burrow)": False}
    assert found(row(committed_offset=2)) == {"committed": False, "committed (Burrow)": False}
    assert found(row(end_offset=4)) == {"end": False}
    assert found(row(owner=None)) == {"owner": False}
    assert found(row(owner="c-1f2e3d4c@10.0.0.1")) == {"owner": False}
    assert found(row(burrow=Judged("WARN", 3, 2, 2, 2))) == {"status (Burrow)": False}
    assert "UNEXPLAINED" in table([row(lag=1)])


def test_an_open_transaction_explains_just_its_own_records() -> None:
    kafka, burrow = Described(3, 9, 6, "c-1f2e3d4c5b", "127.0.0.1"), Judged("OK", 3, 6, 2, 2)
    explained = found(row(open_records=4, kafka=kafka, burrow=burrow))
    assert explained == {"end": True, "lag": True, "lag (Burrow)": True}
    assert not any(found(row(open_records=3, kafka=kafka, burrow=burrow)).values())


def test_a_program_that_says_nothing_of_a_partition_must_have_a_reason() -> None:
    silent = Row("alive", "g", Place("t", 0), "", 0, row().ours, "OK", None, None, has_burrow=True)
    assert found(silent) == {"partition": False}
    assert [one.reason for one in differences(silent)] == [None, None]
    unknown = Row("alive", "g", Place("t", 0), "", 0, None, None, row().kafka, None, has_burrow=False)
    assert found(unknown) == {"partition": False}
