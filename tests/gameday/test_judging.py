"""A reason that is wrong, late, or comes and goes is no right one; nor is an alert that stays silent."""

from collections.abc import Sequence
from dataclasses import replace

from tests.gameday.judging import Alert, Expected, Look, Seen, judge, judge_healthy

STALLED = Expected("the store is unreachable", frozenset({"STALL"}), ("ScorerStalled",))
GOOD = "7 records behind in t/0: the store is unreachable since 08:00:00Z: connection refused"
INTERVAL_S = 5.0


def looks(*reasons: str, status: str = "STALL", every_s: float = 2.0, first_s: float = 4.0) -> list[Look]:
    """The same answers at both doors."""
    return [Look(first_s + every_s * number, door, status, reason) for number, reason in enumerate(reasons)
            for door in ("lag", "/lag")]  # fmt: skip


def seen(told: Sequence[Look], alerts: Sequence[Alert] | None = (Alert(90.0, "ScorerStalled"),)) -> Seen:
    before = [Look(-5.0, "lag", "OK", "keeps up"), Look(-1.0, "/lag", "OK", "keeps up")]
    return Seen([*before, *told], alerts, visible_s=0.0, healed_s=200.0)


def wrong(told: Seen, expected: Expected = STALLED) -> tuple[str, ...]:
    return judge(expected, told, INTERVAL_S).wrong


def test_a_right_reason_within_two_intervals_and_its_alert_are_right() -> None:
    found = judge(STALLED, seen(looks("catching up", GOOD, GOOD)), INTERVAL_S)
    assert found.wrong == ()
    assert found.answers["lag"].right_s == 6.0
    assert found.allowed_s == 10.0
    assert found.fired == {"ScorerStalled": 90.0}


def test_a_wrong_reason_is_wrong_and_quoted() -> None:
    told = looks("the engine is slow: 1/s are consumed while 9/s arrive")
    assert wrong(seen(told)) == tuple(
        f"`{door}` never gave the reason; it said last: STALL: the engine is slow: 1/s are consumed while 9/s arrive"
        for door in ("lag", "/lag")
    )


def test_a_right_sentence_under_a_wrong_status_is_wrong() -> None:
    assert len(wrong(seen(looks(GOOD, status="OK")))) == 2


def test_a_late_reason_is_wrong_counted_from_when_it_could_be_seen() -> None:
    late = seen(looks(GOOD, first_s=10.1))
    assert wrong(late) == tuple(
        f"`{door}` gave the reason after 10.1 s, and 10.0 s are allowed" for door in ("lag", "/lag")
    )
    assert wrong(replace(late, visible_s=0.5)) == ()


def test_a_reason_that_comes_and_goes_is_wrong() -> None:
    told = looks(*[GOOD, "catching up"] * 5)
    assert "`/lag` gave the reason in only 50% of the looks after the first" in wrong(seen(told))
    assert wrong(seen(looks(*[GOOD] * 19, "catching up"))) == ()


def test_of_an_event_that_is_over_only_the_command_without_a_memory_may_be_silent() -> None:
    told = looks(GOOD, *["catching up"] * 9)
    assert wrong(seen(told), replace(STALLED, event=True)) == (
        "`/lag` gave the reason in only 10% of the looks after the first",
    )


def test_what_is_said_once_it_is_mended_does_not_count() -> None:
    assert wrong(seen([*looks(GOOD), *looks("catching up", "catching up", first_s=201.0)])) == ()
    assert len(wrong(seen(looks(GOOD, first_s=201.0)))) == 2


def test_a_reason_that_was_given_before_the_fault_proves_nothing() -> None:
    told = seen([Look(-3.0, "lag", "STALL", GOOD), *looks(GOOD)])
    assert wrong(told) == ("`lag` gave the reason before there was one",)


def test_an_alert_that_does_not_fire_or_fired_before_is_wrong() -> None:
    assert wrong(seen(looks(GOOD), [])) == ("ScorerStalled did not fire",)
    assert wrong(seen(looks(GOOD), [Alert(-2.0, "ScorerStalled")])) == ("ScorerStalled fired before the fault",)


def test_without_a_prometheus_no_alert_is_judged() -> None:
    found = judge(STALLED, seen(looks(GOOD), None), INTERVAL_S)
    assert (found.wrong, found.fired) == ((), {})


def test_other_alerts_are_named_beside_those_that_belong() -> None:
    alerts = [Alert(90.0, "ScorerStalled"), Alert(70.0, "ScorerStoreAway"), Alert(75.0, "ScorerStoreAway")]
    assert judge(STALLED, seen(looks(GOOD), alerts), INTERVAL_S).beside == {"ScorerStoreAway": 70.0}


def test_the_alert_of_another_partition_is_not_that_of_the_hot_one() -> None:
    hot = replace(STALLED, partition=1)
    other, own = (Alert(at_s, "ScorerStalled", {"partition": number}) for at_s, number in ((80.0, "0"), (95.0, "1")))
    assert wrong(seen(looks(GOOD), [other]), hot) == ("ScorerStalled did not fire",)
    assert judge(hot, seen(looks(GOOD), [other, own]), INTERVAL_S).fired == {"ScorerStalled": 95.0}


def test_healthy_load_is_silent() -> None:
    fine = [Look(1.0, "lag", "OK", "keeps up")]
    assert judge_healthy(fine, []) == ()
    assert judge_healthy([*fine, Look(2.0, "/lag", "WARN", "the engine is slow")], []) == (
        "`/lag` said WARN at 2 s: the engine is slow",
    )
    assert judge_healthy(fine, [Alert(30.0, "ScorerLagGrowing")]) == ("ScorerLagGrowing fired at 30 s",)
