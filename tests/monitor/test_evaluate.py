"""The status of a partition: hand-made histories for each, and what must never be called fine."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.monitor.histories import EVERY_S, NOW, SILENCE_S, History, partition, said, without_owner


def status(history: History) -> str:
    assert history.report is not None
    return history.report.partitions[0].status


def test_a_group_without_lag_is_ok_whoever_is_there() -> None:
    history = History()
    assert history.look(partition(7, 7, owner=None)).status == "OK"
    assert history.look(partition(7, 7, said(NOW - 9999, open=False), owner=None)).status == "OK"


def test_a_consumer_that_keeps_up_is_ok() -> None:
    history = History()
    history.healthy()
    assert status(history) == "OK"


def test_a_consumer_that_catches_up_is_ok() -> None:
    history, committed = History(), 0
    for step in range(20):
        committed += 1000
        at = history.now + EVERY_S
        history.look(partition(committed, 50_000 + 500 * step, said(at - 1, oldest=at - 300)))
    assert status(history) == "OK"


def test_lag_that_never_decreases_warns() -> None:
    history, committed = History(), 0
    for step in range(12):
        committed += 100
        at = history.now + EVERY_S
        history.look(partition(committed, 5_000 + 500 * step, said(at - 1, oldest=at - 60)))
    assert status(history) == "WARN"


def test_who_is_late_and_falls_back_from_commit_to_commit_is_not_called_fine_for_having_been_fine_before() -> None:
    history = History()
    committed = history.healthy()
    end = committed
    for _ in range(5):
        committed, end = committed + 100, end + 500
        at = history.now + EVERY_S
        history.look(partition(committed, end, said(at - 1, oldest=at - 20)))
    assert status(history) == "WARN"


def test_lag_that_dips_between_batches_warns_all_the_same_while_less_is_consumed_than_arrives() -> None:
    history = History()
    committed = history.healthy()
    end, seen = committed, []
    for step in range(24):
        # A batch every third look: the partition's lag falls then, and is higher than after the last one.
        committed, end = committed + 1000 * (step % 3 == 2), end + 500
        at = history.now + EVERY_S
        history.look(partition(committed, end, said(at - 1, oldest=at - 20)))
        seen.append(status(history))
    assert seen[6:] == ["WARN"] * 18


def test_a_backlog_that_shrinks_in_batches_is_ok() -> None:
    history, committed, seen = History(), 0, []
    for step in range(24):
        committed += 3000 * (step % 2)
        at = history.now + EVERY_S
        history.look(partition(committed, 50_000 + 500 * step, said(at - 1, oldest=at - 100)))
        seen.append(status(history))
    assert seen[4:] == ["OK"] * 20


def test_an_engine_that_needs_minutes_for_a_batch_is_slow_and_not_stuck_until_its_rate_says_so() -> None:
    history = History()
    history.look(partition(0, 500, said(NOW + 4, oldest=NOW)))
    for _ in range(16):
        at = history.now + EVERY_S
        history.look(partition(64, 500, said(at - 1, rate=1.0, oldest=NOW)))
    assert status(history) == "WARN"
    at = history.now + EVERY_S
    history.look(partition(64, 500, said(at - 1, rate=0.0, oldest=NOW)))
    assert status(history) == "STALL"


def test_a_partition_that_stands_still_while_its_owner_works_on_others_is_a_stall_after_a_window() -> None:
    history = History()
    history.look(partition(0, 500, said(NOW + 4, oldest=NOW)))
    for _ in range(16):
        at = history.now + EVERY_S
        history.look(partition(64, 500, said(at - 1, rate=10.0, oldest=NOW)))
    assert status(history) == "STALL"


def test_a_member_that_keeps_its_partition_over_a_rebalance_has_not_just_taken_it() -> None:
    history = History()
    committed = history.healthy()
    for step in range(1, 5):
        at = history.now + EVERY_S
        sample = partition(committed, committed + step, said(at - 1, rate=0.0, oldest=NOW))
        joining = step == 2
        history.look(without_owner(sample) if joining else sample, state="PreparingRebalance" if joining else "Stable")
    assert status(history) == "STALL"


def test_growing_lag_that_is_a_moment_old_does_not_warn() -> None:
    history, committed = History(), 0
    for step in range(12):
        committed += 500
        at = history.now + EVERY_S
        history.look(partition(committed, committed + 20 + step, said(at - 1, oldest=at - 0.4)))
    assert status(history) == "OK"


def test_a_consumer_of_ours_that_is_gone_is_a_stop_in_a_single_look() -> None:
    history = History()
    assert history.look(partition(7, 90, said(NOW - 40, oldest=NOW - 60), owner=None)).status == "STOP"


def test_a_consumer_that_left_in_peace_is_a_stop_at_once() -> None:
    history = History()
    assert history.look(partition(7, 90, said(NOW + 4, "idle", open=False), owner=None)).status == "STOP"


def test_a_killed_consumer_is_a_stop_once_it_is_silent_for_too_long() -> None:
    history = History()
    committed = history.healthy()
    metadata = said(history.now, oldest=history.now)
    history.look(partition(committed, committed + 500, metadata))
    assert status(history) == "OK"
    history.look(partition(committed, committed + 1000, metadata, owner=None), after_s=SILENCE_S)
    assert status(history) == "STOP"


def test_a_partition_whose_member_is_gone_is_a_stop_though_others_are_there() -> None:
    history = History()
    for _ in range(4):
        history.look(
            partition(7, 90, said(NOW - 60, open=False), owner=None),
            partition(5, 5, said(history.now + 4, "idle"), number=1),
        )
    assert status(history) == "STOP"


def test_while_the_group_joins_nobody_is_called_gone_too_early() -> None:
    history = History()
    committed = history.healthy()
    left = said(history.now + 1, "idle", open=False)
    assert (
        history.look(partition(committed, committed + 50, left, owner=None), state="PreparingRebalance").status == "OK"
    )


def test_an_offset_that_fell_and_was_not_regained_is_a_rewind() -> None:
    history = History()
    committed = history.healthy()
    at = history.now + EVERY_S
    assert history.look(partition(100, committed, said(at - 1, oldest=at - 60))).status == "REWIND"
    assert history.look(partition(committed + 5, committed + 9, said(at + 4, oldest=at + 4))).status == "OK"


def test_a_consumer_that_says_it_waits_is_a_stall_in_a_single_look() -> None:
    waits = said(NOW + 3, "waiting", why="store: connection refused", since=NOW - 30, oldest=NOW - 40)
    assert History().look(partition(7, 90, waits)).status == "STALL"
    held = said(NOW + 3, "held", why="waiting for the source of offset 7", oldest=NOW - 40)
    assert History().look(partition(7, 90, held)).status == "STALL"


def test_a_wait_as_short_as_a_blink_is_none() -> None:
    history = History()
    committed = history.healthy()
    at = history.now + EVERY_S
    blink = said(at - 1, "waiting", why="broker: commit failed", since=at - 1.2, oldest=at - 1.5)
    assert history.look(partition(committed, committed + 10, blink)).status == "OK"


def test_an_owner_that_is_alive_and_stands_still_is_a_stall() -> None:
    history = History()
    committed = history.healthy()
    for step in range(1, 5):
        at = history.now + EVERY_S
        history.look(partition(committed, committed + 100 * step, said(at - 1, rate=0.0, oldest=NOW)))
    assert status(history) == "STALL"


def test_a_slow_engine_at_work_on_one_batch_warns_before_it_is_a_stall() -> None:
    history = History()
    committed = history.healthy()
    seen = []
    for step in range(1, 20):
        at = history.now + EVERY_S
        history.look(partition(committed, committed + 100 * step, said(at - 1, rate=1.5, oldest=NOW)))
        seen.append(status(history))
    assert seen[3] == "WARN"
    assert seen[-1] == "STALL"


def test_a_consumer_that_took_over_just_now_is_not_called_stalled() -> None:
    history = History()
    history.look(partition(7, 9000, said(NOW - 100, oldest=NOW - 200, open=False), owner=None))
    history.look(partition(7, 9000, said(NOW - 100, oldest=NOW - 200, open=False), owner=None))
    history.look(partition(7, 9000, said(NOW - 100, oldest=NOW - 200, open=False), owner=None))
    assert status(history) == "STOP"
    history.look(partition(7, 9000, said(history.now + 4, rate=0.0, oldest=NOW - 200)))
    assert status(history) == "WARN"


def test_a_foreign_group_with_members_that_stands_still_is_a_stall_and_without_them_a_stop() -> None:
    alive, gone = History(), History()
    for step in range(12):
        alive.look(partition(7, 90 + step))
        gone.look(partition(7, 90 + step, owner=None))
    assert (status(alive), status(gone)) == ("STALL", "STOP")


def test_a_group_that_kafka_does_not_describe_is_judged_by_its_commits() -> None:
    history = History()
    for step in range(10):
        history.look(partition(100 * step, 100 * step + 50 - step, owner=None), state=None)
    assert status(history) == "OK"
    for step in range(12):
        history.look(partition(900, 1000 + 100 * step, owner=None), state=None)
    assert status(history) == "STOP"


def test_a_consumers_clock_that_is_behind_does_not_make_it_gone() -> None:
    history = History()
    for step in range(4):
        history.look(partition(100 * step, 100 * step + 5, said(history.now - 3600)))
    assert status(history) == "OK"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_never_ok_while_the_committed_offset_stands_still_below_a_moving_end(data: st.DataObject) -> None:
    history = History()
    committed = history.healthy(data.draw(st.integers(0, 12), label="healthy samples"), committed=10_000)
    end = committed
    ours = data.draw(st.booleans(), label="ours")
    owned = data.draw(st.sampled_from([True, False]), label="owned")
    began = history.now + EVERY_S
    for _ in range(data.draw(st.integers(4, 30), label="samples")):
        at = history.now + EVERY_S
        end += data.draw(st.integers(1, 1000), label="published")
        metadata = ""
        if ours:
            state = data.draw(st.sampled_from(["running", "idle", "waiting", "held", "moved"]), label="state")
            spoke = data.draw(st.floats(0, 120), label="spoke ago")
            rate = data.draw(st.sampled_from([0.0, 5.0]), label="rate")
            oldest = data.draw(st.none() | st.floats(0, 60), label="age of the oldest")
            metadata = said(at - spoke, state, rate=rate, oldest=None if oldest is None else at - oldest)
        owner = "m@h" if owned and data.draw(st.integers(0, 9), label="has an owner") else None
        joining = data.draw(st.integers(0, 9), label="joining") == 0
        history.look(
            partition(committed, end, metadata, owner=owner), state="PreparingRebalance" if joining else "Stable"
        )
        if history.now - began > SILENCE_S:
            assert status(history) != "OK"
