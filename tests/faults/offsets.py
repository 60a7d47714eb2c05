"""The part of the judge that looks at committed offsets: none may pass an undecided record, at any time."""

import bisect
from collections import defaultdict
from collections.abc import Mapping
from itertools import accumulate

from tests.faults.history import History, Place
from tests.faults.verdict import Finding

NEVER = 1 << 60
ALWAYS = -1


def passed_over(history: History, decided: Mapping[Place, int]) -> list[Finding]:
    """Records that a committed offset had passed when they were not decided, each once.

    `decided`: the number of the first sample that shows a record's fate, or NEVER, or ALWAYS.
    """
    offsets: defaultdict[int, list[int]] = defaultdict(list)
    for partition, offset in sorted(record.place for record in history.records):
        offsets[partition].append(offset)
    # From which sample on everything up to each record, itself included, was decided.
    settled = {
        partition: list(accumulate((decided[partition, offset] for offset in known), max))
        for partition, known in offsets.items()
    }
    found: dict[Place, Finding] = {}
    looks = [*(sample.committed for sample in history.samples), history.committed]
    for number, committed in enumerate(looks):
        for partition, offset in committed.items():
            below = bisect.bisect_left(offsets[partition], offset)
            if below and settled[partition][below - 1] > number:
                first = next(at for at, since in enumerate(settled[partition]) if since > number)
                place = partition, offsets[partition][first]
                found.setdefault(place, Finding(place, f"undecided, and {offset} was committed", number))
    return list(found.values())


def beyond_the_end(history: History) -> list[Finding]:
    """Partitions whose committed offset lies behind the last record."""
    return [
        Finding((partition, offset), f"committed beyond the log's end, {history.ends[partition]}")
        for partition, offset in history.committed.items()
        if offset > history.ends.get(partition, 0)
    ]


def left_behind(history: History) -> list[Finding]:
    """Partitions that were not consumed to their end."""
    at = {partition: history.committed.get(partition, 0) for partition in history.ends}
    return [
        Finding((partition, at[partition]), f"the log ends at {end}, committed is {at[partition]}")
        for partition, end in history.ends.items()
        if at[partition] < end
    ]
