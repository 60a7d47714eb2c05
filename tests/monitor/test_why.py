"""The reason of each fault, in the words that the person on call reads."""

from typing import Any

import pytest

from schemas.lag import LagReport
from tests.monitor.histories import EVERY_S, NOW, History, partition, said


def starved(**told: Any) -> LagReport:
    """Healthy until lag begins to grow; with each commit the consumer tells this."""
    history = History()
    committed = history.healthy()
    end = committed
    for _ in range(10):
        committed, end = committed + 250, end + 500
        at = history.now + EVERY_S
        report = history.look(partition(committed, end, said(at - 1, oldest=NOW, **told)))
    return report


def look(metadata: str) -> str:
    """The group's sentence after a single look at seven scored and 83 waiting records."""
    return History().look(partition(7, 90, metadata)).reason


def test_the_store_is_unreachable_since() -> None:
    waits = said(
        NOW + 3, "waiting", why="store: PostgreSQL at db:5432 does not answer", since=NOW - 30, oldest=NOW - 40
    )
    assert look(waits) == (
        "83 records behind (the oldest waits for 45 s) in image-events/0: the store is unreachable since 07:59:30Z: "
        "PostgreSQL at db:5432 does not answer; no end while that lasts"
    )


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("broker: commit failed", "the consumer gets no answer from Kafka since 07:59:30Z: commit failed"),
        ("operator: paused by alice since 07:59:30Z: rollout", ": paused by alice since 07:59:30Z: rollout;"),
        ("dead_letters: too many", "the limit on dead letters holds since 07:59:30Z: `streamscorer dlq resume`"),
    ],
)
def test_what_a_waiting_consumer_waits_for(why: str, words: str) -> None:
    assert words in look(said(NOW + 3, "waiting", why=why, since=NOW - 30))


def test_a_held_partition_waits_for_its_source() -> None:
    assert "waiting for the source of offset 7" in look(said(NOW + 3, "held", why="waiting for the source of offset 7"))


def nobody(metadata: str) -> str:
    return History().look(partition(7, 90, metadata, owner=None)).reason


def test_no_consumer_is_running_and_how_the_last_one_ended() -> None:
    assert "no consumer is running since 07:58:20Z, the last one left no farewell;" in nobody(said(NOW - 100))
    assert "no consumer is running since 07:58:20Z, the last one was stopped;" in nobody(said(NOW - 100, open=False))
    assert "in image-events/0: no consumer is running;" in nobody("")


def test_the_limit_on_dead_letters_has_stopped_the_group() -> None:
    stopped = said(NOW - 100, "waiting", why="dead_letters: group is stopped", since=NOW - 100, open=False)
    assert "the limit on dead letters has stopped the group since 07:58:20Z: `streamscorer dlq resume`" in nobody(
        stopped
    )


def test_an_offset_that_an_operator_moved() -> None:
    moved = said(NOW - 100, "moved", why="operator: offsets reset by alice", open=False)
    assert "no consumer is running since an operator moved the offset (offsets reset by alice)" in nobody(moved)
    history = History()
    committed = history.healthy()
    report = history.look(
        partition(100, committed, said(history.now + 4, "moved", why="operator: offsets reset by bob"))
    )
    assert "the committed offset went back from 6000 to 100 after 08:00:59Z (offsets reset by bob)" in report.reason


def test_one_member_is_gone_and_no_other_has_its_partition() -> None:
    history = History()
    there = partition(5, 5, said(NOW + 4, "idle"), number=1)
    report = history.look(partition(7, 90, said(NOW - 60), owner=None), there)
    assert (
        "in image-events/0: the member that had it is gone since 07:59:00Z, and no other has taken it" in report.reason
    )


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        ("engine", "the engine is slow: 50/s are consumed while 100/s arrive"),
        ("store", "the store is slow: 50/s"),
        ("source", "the image sources are slow: 50/s"),
        ("kafka", "fetching from Kafka is slow: 50/s"),
        (None, "consumers are slower than producers: 50/s"),
    ],
)
def test_what_is_slow(bound: str | None, words: str) -> None:
    report = starved(bound=bound)
    assert report.status == "WARN"
    assert words in report.reason
    assert report.reason.endswith("at these rates it does not catch up")


def test_a_rebalance_loop() -> None:
    assert ": rebalance loop: 9 rebalances within five minutes;" in starved(joins=9).reason


def test_a_rebalance_loop_is_the_reason_also_where_nobody_has_the_partition() -> None:
    history = History()
    there = partition(5, 5, said(NOW + 4, "idle", joins=9), number=1)
    report = history.look(partition(7, 90, said(NOW - 60), owner=None), there)
    assert report.status == "STOP"
    assert "in image-events/0: rebalance loop: 9 rebalances within five minutes;" in report.reason


def test_a_poison_run() -> None:
    words = "poison run: 62% of the records of the last minute became dead letters, most of them InvalidImage"
    assert words in starved(dead=0.62, top_reason="InvalidImage").reason
    history = History()
    for _ in range(3):
        at = history.now + EVERY_S
        report = history.look(partition(7, 7, said(at, "idle", dead=0.62, top_reason="InvalidImage")))
    assert report.status == "OK"
    assert words in report.reason


def test_a_hot_partition() -> None:
    history = History()
    done, ends = [0, 0, 0], [0, 0, 0]
    for _ in range(12):
        at = history.now + EVERY_S
        ends = [ends[0] + 50, ends[1] + 2000, ends[2] + 50]
        done = [ends[0], done[1] + 500, ends[2]]
        told = [said(at - 1, "idle"), said(at - 1, oldest=NOW), said(at - 1, "idle")]
        report = history.look(*(partition(done[n], ends[n], told[n], number=n) for n in range(3)))
    assert report.status == "WARN"
    assert "hot partition: image-events/1 holds 100% of the lag and gets 95% of what is published" in report.reason
    assert [found.partition for found in report.partitions] == [1, 0, 2]


def test_a_trimmed_topic_is_told_also_after_the_consumer_has_skipped_what_is_gone() -> None:
    history = History()
    report = history.look(partition(100, 900, said(NOW - 100), owner=None, beginning=400))
    assert "topic trimmed: 300 records gone before they were scored (seen 08:00:05Z)" in report.reason
    report = history.look(partition(900, 900, said(history.now + 4, "idle"), beginning=400))
    assert report.status == "OK"
    assert "topic trimmed: 300 records gone before they were scored" in report.reason


def test_of_what_was_trimmed_below_a_consumer_that_is_alive_some_may_be_in_its_memory() -> None:
    report = History().look(partition(100, 900, said(NOW + 4, oldest=NOW), beginning=400))
    assert "topic trimmed: up to 300 records gone before they were scored" in report.reason


@pytest.mark.parametrize(
    ("state", "why"),
    [("waiting", "store: PostgreSQL at db:5432: refused"), ("held", "waiting for the source of offset 7 (h:80)")],
)
def test_what_a_stall_says_is_not_said_again_for_the_partitions_that_are_none_yet(state: str, why: str) -> None:
    waits = [said(NOW + 4, state, why=why, since=since) for since in (NOW - 30, NOW + 4)]
    reason = History().look(*(partition(7, 9, waits[n], number=n) for n in range(2))).reason
    assert reason.count(why.removeprefix("store: ")) == 1


def test_what_was_trimmed_is_one_sum_over_all_partitions_and_a_poison_run_is_told_once() -> None:
    history = History()
    told = [said(NOW + 4, dead=share, top_reason="InvalidImage", oldest=NOW) for share in (0.5, 0.61, 0.62)]
    parts = [partition(100, 900, told[n], number=n, beginning=400 + n) for n in range(3)]
    reason = history.look(*parts).reason
    assert reason.count("topic trimmed: ") == 1
    assert "up to 903 records gone before they were scored" in reason
    assert reason.count("poison run: ") == 1


def test_a_trim_that_the_consumer_has_passed_between_two_samples_is_told() -> None:
    history = History()
    history.look(partition(100, 900, said(NOW + 4, rate=10.0)))
    report = history.look(partition(900, 900, said(NOW + 9, "idle", rate=10.0), beginning=700))
    assert "topic trimmed: up to 600 records gone before they were scored" in report.reason


def test_retention_behind_a_consumer_that_is_fast_is_no_loss() -> None:
    history = History()
    history.look(partition(100, 900, said(NOW + 4, rate=300.0)))
    report = history.look(partition(900, 900, said(NOW + 9, "idle", rate=300.0), beginning=700))
    assert "trimmed" not in report.reason


def test_a_consumer_that_began_a_moment_ago_is_catching_up() -> None:
    history = History()
    history.look(partition(0, 9000, said(NOW - 100), owner=None))
    for step in range(1, 4):
        at = history.now + EVERY_S
        report = history.look(partition(1000 * step, 9000, said(at - 1, oldest=NOW - 100)))
    assert report.status == "OK"
    assert "a consumer took it 10 s ago and is catching up" in report.reason
    assert "done in about 30 s" in report.reason


def test_who_keeps_up_gets_a_sentence_too() -> None:
    history = History()
    history.healthy()
    assert history.report is not None
    assert history.report.reason == "keeps up: nothing waits in 1 partition, 100/s are consumed"


def test_nothing_waits_and_nobody_is_there() -> None:
    report = History().look(partition(7, 7, said(NOW - 999, "idle", open=False), owner=None))
    assert (report.status, report.reason) == ("OK", "keeps up: nothing waits in 1 partition; no consumer is running")


def test_the_status_says_since_when() -> None:
    history = History()
    committed = history.healthy()
    waits = {"why": "store: away", "since": history.now + 1}
    for _ in range(4):
        report = history.look(partition(committed, committed + 9, said(history.now + 4.5, "waiting", **waits)))
    assert report.since is not None
    assert (report.at - report.since).total_seconds() == 15


def test_who_says_that_it_has_nothing_while_a_record_has_waited_is_not_believed_and_the_record_is_read() -> None:
    history = History()
    history.look(partition(7, 90, said(NOW + 4, "idle")))
    (found,) = history.look(partition(50, 130, said(NOW + 9, "idle"))).partitions
    assert (found.time_lag_s, found.time_lag_from) == (60, "record")
    (found,) = history.look(partition(135, 140, said(NOW + 14, "idle"))).partitions
    assert (found.time_lag_s, found.time_lag_from) == (1, "consumer")


def test_a_hot_partition_that_has_just_moved_is_not_said_to_keep_up() -> None:
    history = History()
    done, ends = [0, 0, 0], [0, 0, 0]
    for step in range(14):
        at = history.now + EVERY_S
        ends = [ends[0] + 50, ends[1] + 2000, ends[2] + 50]
        done = [done[0] + 10, done[1] + 500, ends[2]]
        # It has just begun with the youngest of its records; another one waits behind it.
        young = at - 1 if step == 13 else NOW
        told = [said(at - 1, oldest=NOW), said(at - 1, oldest=young), said(at - 1, "idle")]
        report = history.look(*(partition(done[n], ends[n], told[n], number=n) for n in range(3)))
    assert "hot partition: image-events/1 holds" in report.reason
    assert "keeps up" not in report.reason


def test_the_age_of_the_oldest_record_comes_from_the_consumer_or_from_the_record() -> None:
    history = History()
    ours = partition(7, 9, said(NOW + 4, oldest=NOW - 100))
    foreign = partition(7, 9, number=1)
    new = partition(7, 9, said(NOW + 4, "idle"), number=2)
    found = {p.partition: (p.time_lag_s, p.time_lag_from) for p in history.look(ours, foreign, new).partitions}
    assert found == {0: (105, "consumer"), 1: (60, "record"), 2: (1, "consumer")}


@pytest.mark.parametrize(("arrived", "status"), [(0, "OK"), (1, "WARN"), (6, "WARN")])
def test_two_looks_within_a_second_take_nobody_for_catching_up_because_little_arrived_by_chance(
    arrived: int, status: str
) -> None:
    history = History()
    told = said(NOW + 4, rate=3.2, bound="engine", oldest=NOW - 120)
    history.look(partition(100, 800, told))
    report = history.look(partition(100, 800 + arrived, told), after_s=0.8)
    assert report.status == status
    assert ("the engine is slow: 3.2/s are consumed" in report.reason) == (status == "WARN")


def test_between_two_waits_for_a_slow_source_a_partition_is_behind_for_that_reason() -> None:
    history = History()
    held = said(NOW + 4, "held", why="waiting for the source of offset 7 (h:80)", since=NOW, oldest=NOW - 20)
    history.look(partition(7, 40, held))
    moves = [history.look(partition(8 + n, 60 + 20 * n, said(history.now + 4, bound="kafka", oldest=NOW - 20)))
             for n in range(9)]  # fmt: skip
    assert "until just now waiting for the source of offset 7 (h:80)" in moves[3].reason
    assert moves[3].status == "WARN"
    assert "source" not in moves[-1].reason


def test_what_keeps_up_between_two_waits_for_a_slow_source_names_it_too() -> None:
    history = History()
    held = said(NOW + 4, "held", why="waiting for the source of offset 7 (h:80)", since=NOW, oldest=NOW)
    history.look(partition(7, 12, held))
    between = history.look(partition(9, 20, said(history.now + 4, bound="kafka", oldest=history.now - 2)))
    assert between.status == "OK"
    assert "keeps up" in between.reason
    assert "until just now waiting for the source of offset 7 (h:80)" in between.reason
    done = history.look(partition(20, 20, said(history.now + 4, "idle")))
    assert "source" not in done.reason
