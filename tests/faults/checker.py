"""The judge: a run's history in, what was lost, doubled, wrong or committed too far out.

It knows nothing of the consumer, and holds the history against what is promised outside: every record in the topic is
exactly one score, exactly one dead letter, or a duplicate or a tombstone that is accounted for.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeVar

from tests.faults.history import MARKER, ORIGIN, Expected, History, Kept, LetterRow, Place, ScoreRow
from tests.faults.offsets import ALWAYS, NEVER, beyond_the_end, left_behind, passed_over
from tests.faults.verdict import Finding, Verdict

TOLERANCE = 1e-3
"""Largest difference of a probability from the offline run with the same engine."""
NOWHERE = (-1, -1)
Row = TypeVar("Row", ScoreRow, LetterRow)


def check(history: History) -> Verdict:
    """Judge a history: 1. what was acknowledged is there, 2. each record's fate, 3. rows that nobody explains, 4. the
    DLQ topic, 5. the committed offsets."""
    return _Judge(history).judge()


class _Judge:
    def __init__(self, history: History) -> None:
        self._history = history
        self._verdict = Verdict(len(history.records))
        self._expected = {sent.marker: sent.expected for sent in history.sent}
        self._records = {record.place: record for record in history.records}
        self._scores = _grouped(history.scores)
        self._dead = _grouped(history.dead_letters)
        self._by_identity: defaultdict[tuple[str, str], list[ScoreRow]] = defaultdict(list)
        for row in history.scores:
            self._by_identity[row.source, row.event_id].append(row)
        self._decided: dict[Place, int] = {}
        """Number of the sample from which on each record was decided."""

    def judge(self) -> Verdict:
        self._check_acknowledged()  # 1
        for record in self._history.records:  # 2
            expected = self._expected.get(record.header(MARKER) or "")
            if expected is None:
                self._wrong(record.place, "nobody sent this record")
                self._decided[record.place] = ALWAYS
            elif expected.fate == "tombstone":
                self._check_tombstone(record)
            elif expected.fate == "dead":
                self._check_dead(record, expected.reasons)
            else:
                self._check_scored(record, expected)
        self._check_rows()  # 3
        self._check_letters()  # 4
        self._verdict.too_far.extend(passed_over(self._history, self._decided))  # 5
        self._verdict.too_far.extend(beyond_the_end(self._history))
        self._verdict.wrong.extend(left_behind(self._history))
        return self._verdict

    def _wrong(self, place: Place, words: str) -> None:
        self._verdict.wrong.append(Finding(place, words))

    # 1
    def _check_acknowledged(self) -> None:
        for sent in self._history.sent:
            if sent.at is None:
                continue
            record = self._records.get(sent.at)
            if record is None:
                self._verdict.lost.append(Finding(sent.at, f"acknowledged (marker {sent.marker}), not in the topic"))
            elif record.header(MARKER) != sent.marker:
                self._wrong(sent.at, f"acknowledged as marker {sent.marker}, holds {record.header(MARKER)}")

    # 2
    def _check_tombstone(self, record: Kept) -> None:
        self._decided[record.place] = ALWAYS
        self._verdict.fates["tombstone"] += 1
        if self._scores[record.place] or self._dead[record.place]:
            self._wrong(record.place, "a tombstone has a row")

    def _check_dead(self, record: Kept, reasons: frozenset[str]) -> None:
        rows = self._dead[record.place]
        if self._scores[record.place]:
            self._wrong(record.place, f"scored, should be dead-lettered as {_any_of(reasons)}")
        elif not rows:
            self._lost(record, f"no dead letter ({_any_of(reasons)})")
            return
        else:
            self._verdict.fates["dead letter"] += 1
        for row in rows:
            self._check_dead_row(record, row, reasons)
        seen = [row.seen for row in rows] + [row.seen for row in self._scores[record.place]]
        self._decided[record.place] = min(seen)

    def _check_dead_row(self, record: Kept, row: LetterRow, reasons: frozenset[str]) -> None:
        if row.reason not in reasons:
            self._wrong(record.place, f"dead-lettered as {row.reason} ({row.message}), not as {_any_of(reasons)}")
        if row.timestamp_ms != record.timestamp_ms:
            self._wrong(record.place, "its dead letter has another record time")
        if row.key != record.key or row.headers != record.headers or row.value not in (None, record.value):
            self._wrong(record.place, "its dead letter's row has another key, value or headers than the record")

    def _check_scored(self, record: Kept, expected: Expected) -> None:
        place = record.place
        rows = self._by_identity[_identity(self._history, record, expected)]
        own = [row for row in rows if row.place == place]
        dead = self._dead[place]
        if not rows:
            if dead:
                self._decided[place] = dead[0].seen
                self._wrong(place, f"a good record was dead-lettered as {dead[0].reason}: {dead[0].message}")
            else:
                self._lost(record, "no score")
        elif own:
            self._check_own(record, expected, own[0])
            if dead:
                self._doubled(place, f"a score and a dead letter ({dead[0].reason})")
        elif rows[0].picture == expected.picture:
            self._decided[place] = rows[0].seen
            self._verdict.fates["duplicate"] += 1
            self._check_stands_for(record, rows[0])
            if dead:
                self._wrong(place, f"a duplicate was dead-lettered as {dead[0].reason}: {dead[0].message}")
        elif dead:
            self._decided[place] = dead[0].seen
            self._verdict.fates["conflict"] += 1
            self._check_dead_row(record, dead[0], frozenset({"Conflict"}))
        else:
            self._lost(record, f"its identity was scored with another picture at {_shown(rows[0].place)}: no conflict")

    def _check_own(self, record: Kept, expected: Expected, row: ScoreRow) -> None:
        self._decided[record.place] = row.seen
        self._verdict.fates["scored"] += 1
        reference = self._history.reference.get(expected.picture or "")
        if row.picture != expected.picture:
            self._wrong(record.place, f"the score is of picture {row.picture[:12]}, sent was {expected.picture}")
        elif reference is None:
            self._wrong(record.place, "the offline run has no answer for its picture")
        elif row.answer[0] != reference[0] or abs(row.answer[1] - reference[1]) > TOLERANCE:
            self._wrong(record.place, f"class and probability are {row.answer}, offline {reference}")
        if row.timestamp_ms != record.timestamp_ms:
            self._wrong(record.place, "its score has another record time")

    def _check_stands_for(self, record: Kept, row: ScoreRow) -> None:
        other = self._records.get(row.place)
        expected = self._expected.get(other.header(MARKER) or "") if other else None
        if other is None or expected is None or _identity(self._history, other, expected) != (row.source, row.event_id):
            self._wrong(record.place, f"its score stands at {_shown(row.place)}, which is no record of that identity")

    def _lost(self, record: Kept, words: str) -> None:
        self._decided[record.place] = NEVER
        self._verdict.lost.append(Finding(record.place, words))

    def _doubled(self, place: Place, words: str) -> None:
        self._verdict.doubled.append(Finding(place, words))

    # 3
    def _check_rows(self) -> None:
        keys: defaultdict[tuple[str, str, str], list[ScoreRow]] = defaultdict(list)
        for row in self._history.scores:
            keys[row.source, row.event_id, row.model_version].append(row)
            if row.changed:
                self._wrong(row.place, "its score was changed after it was written")
        for (source, event_id, version), rows in keys.items():
            if len(rows) > 1:
                self._doubled(rows[1].place, f"{len(rows)} scores of {source} {event_id} by {version}")
        for place, same in self._scores.items():
            if len({(row.source, row.event_id) for row in same}) > 1:
                self._doubled(place, "scores under two identities")
        for place, letters in self._dead.items():
            if len(letters) > 1:
                self._doubled(place, f"{len(letters)} dead letters")
        for place in sorted({*_filled(self._scores), *_filled(self._dead)} - self._records.keys()):
            self._wrong(place, "a row of a record that is not in the topic")

    # 4
    def _check_letters(self) -> None:
        letters: defaultdict[Place, list[Kept]] = defaultdict(list)
        for letter in self._history.letters:
            letters[_came_from(letter)].append(letter)
        for place in _filled(self._dead):
            record, found = self._records.get(place), letters.pop(place, [])
            if record is None:
                continue
            if not found:
                self._wrong(place, f"dead-lettered as {self._dead[place][0].reason}, and no letter on the DLQ topic")
            for letter in found:
                self._check_letter(record, letter)
        for place, found in letters.items():
            self._wrong(place, f"{len(found)} letters on the DLQ topic, and no row among the dead letters")

    def _check_letter(self, record: Kept, letter: Kept) -> None:
        what = f"its letter at {_shown(letter.place)}"
        if (letter.key, letter.value) != (record.key, record.value):
            self._wrong(record.place, f"{what} has another key or payload")
        elif letter.headers[: len(record.headers)] != record.headers:
            self._wrong(record.place, f"{what} has other headers")
        elif letter.header(ORIGIN) != (record.header(ORIGIN) or self._history.origin(record)):
            self._wrong(record.place, f"{what} has the origin {letter.header(ORIGIN)}")


def _grouped(rows: Iterable[Row]) -> defaultdict[Place, list[Row]]:
    found: defaultdict[Place, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.place].append(row)
    return found


def _filled(rows: Mapping[Place, list[Row]]) -> list[Place]:
    return [place for place, found in rows.items() if found]


def _came_from(letter: Kept) -> Place:
    """Where the record stood, as its dead letter says."""
    partition, offset = (letter.header(f"__dlq.errors.{name}") or "" for name in ("partition", "offset"))
    return (int(partition), int(offset)) if partition.isdigit() and offset.isdigit() else NOWHERE


def _identity(history: History, record: Kept, expected: Expected) -> tuple[str, str]:
    if expected.source is not None and expected.event_id is not None:
        return expected.source, expected.event_id
    where = f"{record.partition}:{record.offset}:{record.timestamp_ms}"
    return f"kafka:{history.cluster}/{history.topic}", where


def _any_of(reasons: frozenset[str]) -> str:
    return " or ".join(sorted(reasons)) or "nothing"


def _shown(place: Place) -> str:
    return f"{place[0]}/{place[1]}"
