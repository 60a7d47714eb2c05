"""The nine faults: what is done, from when on it can be seen, and what a right answer is."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from consumer.holds import PATIENCE_S
from tests.gameday import injections as do
from tests.gameday.judging import UNKNOWN, Expected
from tests.gameday.stage import SESSION_TIMEOUT_S, Setup, Stage

SILENCE_S = SESSION_TIMEOUT_S * 1.25
"""Session timeout and heartbeat interval: so long a record may wait before anybody is called late."""
_LOOP = 5
"""Rebalances in five minutes from which on they are a loop."""
_HOT_MEMBER_S = 0.1
Act = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """`inject` and `mend` are what is done; `prepare` comes a minute before, and is no fault yet."""

    name: str
    title: str
    done: str
    """In words, for the table."""
    expected: Expected
    inject: Act
    mend: Act
    visible_s: float = 0.0
    """Nobody can see it before: so many seconds after it began."""
    since: str = "its beginning"
    """What that moment is, in words."""
    visible: Callable[[Stage], bool] | None = None
    """In the place of `visible_s`: it can be seen once this is true."""
    late: bool = False
    """In the place of `visible_s`: it can be seen once a record has waited for SILENCE_S, by the rows of the table."""
    setup: Setup = field(default_factory=Setup)
    prepare: Act | None = None
    at_most_s: float = 300.0
    """It is mended after so long, whatever was seen."""


def looping(stage: Stage) -> bool:
    """The consumer that stays has joined often enough."""
    return sum('"partitions assigned"' in line for line in stage.members[0].lines) >= _LOOP


_SLOW_PER_S = 8.0
_FETCHED_PER_S = 0.5

FAULTS: Sequence[Fault] = (
    Fault(
        "dead", "consumer dead", "the only consumer is killed (SIGKILL)",
        Expected(
            "no consumer is running since .*left no farewell", frozenset({"STOP"}),
            ("ScorerStopped", "ScorerTargetDown", "ScorerNoProgress", "ScorerLagObjective"),
        ),
        do.kill_consumer, do.start_consumer,
        visible_s=SESSION_TIMEOUT_S, since="the session timeout of 10 s: Kafka itself knows no earlier", at_most_s=840,
    ),
    Fault(
        "store", "stalled on the store", "PostgreSQL is killed (SIGKILL)",
        Expected("the store is unreachable since", frozenset({"STALL"}), ("ScorerStalled", "ScorerStoreAway")),
        do.kill_database, do.start_database,
    ),
    Fault(
        "slow", "slow engine",
        f"the engine takes {do.SLOW_S} s longer for an image; {_SLOW_PER_S:g} arrive each second",
        Expected("the engine is slow", frozenset({"WARN"}), ("ScorerLagGrowing",)),
        do.slow_engine, do.engine_as_before,
        late=True, since="the first record that waited for 12.5 s",
        setup=Setup(per_s=_SLOW_PER_S), at_most_s=600,
    ),
    Fault(
        "hot", "hot partition",
        f"{do.HOT_PER_S:g} events a second with one key; each of two consumers scores {1 / _HOT_MEMBER_S:g}",
        Expected(f"hot partition: [^ ]+/{do.HOT} holds", frozenset({"WARN"}), ("ScorerLagGrowing",), do.HOT),
        do.heat_partition, do.cool_partition,
        late=True, since="the first record that waited for 12.5 s",
        setup=Setup(members=2, engine="fake", per_s=2.0, seconds_an_image=_HOT_MEMBER_S), at_most_s=600,
    ),
    Fault(
        "poison", "poison flood", f"{do.BAD_PER_S:g} error pages a second under image/jpeg, beside 1.5 pictures",
        Expected(
            "poison run: .* most of them InvalidImage", frozenset(), ("ScorerDeadLetterFlood", "ScorerDeadLetters")
        ),
        do.flood, do.end_flood,
        visible_s=5.0, since="a fifth of the last minute's records being bad", setup=Setup(per_s=1.5),
    ),
    Fault(
        "rebalance", "rebalance loop", "one of two consumers is stopped and started again and again",
        Expected("rebalance loop: ", frozenset(), ("ScorerRebalanceLoop",)),
        do.loop_member, do.end_loop,
        visible=looping, since="the fifth rebalance within five minutes", setup=Setup(members=2, engine="fake"),
    ),
    Fault(
        "broker", "broker down", "the only broker is killed (SIGKILL)",
        Expected("does not answer", frozenset({UNKNOWN}), ("ScorerLagUnknown", "ScorerCommitFailures")),
        do.kill_broker, do.start_broker,
    ),
    Fault(
        "trimmed", "topic trimmed", "a backlog, a slow engine, and retention deletes what was not scored yet",
        Expected("topic trimmed: .* gone before they were scored", frozenset(), ("ScorerRecordsLost",), event=True),
        do.trim, do.engine_as_before, prepare=do.fall_behind,
    ),
    Fault(
        "source", "one slow image source", "one host of image_uris takes some ten seconds for each answer",
        # It answers, slowly: from time to time the partition goes on, and is no stall.
        Expected("waiting for the source of offset", frozenset(), ("ScorerSourceAway",)),
        do.slow_source, do.source_as_before,
        visible_s=1 / _FETCHED_PER_S + PATIENCE_S, since="the next such event and a second of patience",
        setup=Setup(fetched_per_s=_FETCHED_PER_S),
    ),
)  # fmt: skip
HEALTHY = "healthy"
HEALTHY_SETUP = Setup(members=2)
