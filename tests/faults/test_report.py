"""The soak's table counts what was decided, how long recovery took, and whom a finding belongs to."""

from dataclasses import replace

from tests.faults.checker import check
from tests.faults.report import WITHOUT_FAULT, Struck, lines, markdown
from tests.faults.test_checker import clean
from tests.faults.world import Blow

KILLED, FULL = "consumer killed", "disk full"


def test_recovery_lasts_until_the_last_partition_is_written_again() -> None:
    history = clean()
    rows = history.scores[0]
    times = {0: (100.0, 111.0, 130.0), 1: (100.0, 104.0, 130.0)}
    scores = [
        replace(rows, place=(partition, number), at_s=at_s)
        for partition, all_ in times.items()
        for number, at_s in enumerate(all_)
    ]
    history = replace(history, scores=scores, dead_letters=[])
    struck = [Struck(KILLED, Blow(101.0, 102.0)), Struck(KILLED, Blow(120.0, 128.0))]
    (line,) = lines(struck, history, check(clean()))
    assert line.recovery_s == (9.0, 2.0)
    assert (line.times, line.decided, line.counts) == (2, 4, (0, 0, 0))
    assert "| consumer killed | 2 | 4 | 0 | 0 | 0 | 5.5 | 9.0 |" in markdown([line])


def test_a_partition_that_was_never_at_work_is_not_waited_for() -> None:
    history = clean()
    scores = [replace(history.scores[0], at_s=at_s) for at_s in (1.0, 5.0)]
    history = replace(history, scores=[*scores, replace(history.scores[1], at_s=9.0)], dead_letters=[])
    (line,) = lines([Struck(FULL, Blow(2.0, 3.0))], history, check(clean()))
    assert line.recovery_s == (2.0,)


def test_a_finding_belongs_to_the_fault_that_began_last_before_it() -> None:
    history = replace(clean(), scores=clean().scores[:1])
    verdict = check(history)
    assert (len(verdict.lost), len(verdict.too_far)) == (1, 1)
    at_s = history.samples[1].at_s
    struck = [
        Struck(KILLED, Blow(at_s - 2, at_s - 2)),
        Struck(FULL, Blow(at_s - 0.5, at_s)),
        Struck(FULL, Blow(at_s + 1, at_s + 1)),
    ]
    counts = {line.fault: line.counts for line in lines(struck, history, verdict)}
    assert counts == {KILLED: (0, 0, 0), FULL: (1, 0, 1)}
    late = [Struck(KILLED, Blow(at_s + 1, at_s + 1))]
    assert {line.fault: line.counts for line in lines(late, history, verdict)}[WITHOUT_FAULT] == (1, 0, 1)
