"""What may be committed for a partition."""

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from consumer.lanes import Lane

PARTITION = TopicPartition("image-events", 0)


def test_nothing_delivered_leaves_the_start_committable() -> None:
    assert Lane(PARTITION, 7).committable == 7


def test_an_undecided_record_holds_the_commit_whatever_is_decided_behind_it() -> None:
    lane = Lane(PARTITION, 0)
    for offset in (0, 1, 2):
        lane.deliver(offset, timestamp_ms=offset * 1000)
    lane.decide(0)
    lane.decide(2)
    assert lane.committable == 1
    assert lane.oldest_timestamp_ms == 1000
    lane.decide(1)
    assert lane.committable == 3
    assert lane.oldest_timestamp_ms is None


def test_records_given_back_are_not_committed() -> None:
    lane = Lane(PARTITION, 0)
    for offset in range(5):
        lane.deliver(offset, 0)
    lane.rewind(2)
    lane.decide(0)
    lane.decide(1)
    assert (lane.committable, lane.next_offset) == (2, 2)


def test_control_records_are_passed_only_where_nothing_waits() -> None:
    lane = Lane(PARTITION, 0)
    lane.deliver(0, 0)
    lane.pass_over(2)
    assert lane.committable == 0
    lane.decide(0)
    lane.pass_over(2)
    assert lane.committable == 2


@given(
    gaps=st.lists(st.integers(1, 5), min_size=1, max_size=40),
    decided=st.lists(st.integers(0, 39), max_size=60),
)
def test_the_commit_never_passes_an_undecided_record(gaps: list[int], decided: list[int]) -> None:
    lane = Lane(PARTITION, 0)
    offsets, offset = [], -1
    for gap in gaps:
        offset += gap
        lane.deliver(offset, 0)
        offsets.append(offset)
    done = {offsets[index] for index in decided if index < len(offsets)}
    before = lane.committable
    for known in done:
        lane.decide(known)
        assert lane.committable >= before
        before = lane.committable
    undecided = [known for known in offsets if known not in done]
    assert lane.committable == (undecided[0] if undecided else offsets[-1] + 1)
