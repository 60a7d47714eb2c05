"""What three programs say of a partition, side by side, and why they differ where they do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from broker.samples import Place
from schemas.lag import PartitionLag, Status
from tests.lag.burrow import Judged
from tests.lag.consumer_groups import Described

GONE: Final = "STOP"


@dataclass(frozen=True, slots=True)
class Row:
    """A partition; None where a program has no line for it."""

    stage: str
    group_id: str
    place: Place
    what: str
    open_records: int
    """Of a transaction that is open: the log's end is behind them, but no reader of committed records gets there."""
    ours: PartitionLag | None
    watched: Status | None
    """What ours says who has watched as long as Burrow."""
    kafka: Described | None
    burrow: Judged | None
    has_burrow: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """`reason` None: nobody can explain it."""

    figure: str
    said: str
    reason: str | None


def differences(row: Row) -> list[Difference]:
    """Every figure that is not the same, with its reason."""
    return [
        Difference(figure, said, next((reason for holds, reason in reasons if holds), None))
        for figure, said, reasons in _unequal(row)
    ]


_Reasons = list[tuple[bool, str]]


def _unequal(row: Row) -> Iterator[tuple[str, str, _Reasons]]:
    ours, kafka, burrow = row.ours, row.kafka, row.burrow
    if ours is None:
        stale = burrow is not None and (kafka is None or kafka.committed is None)
        yield "partition", "ours has no line", [(stale, "Burrow still has the offset of a topic that was deleted")]
        return
    never = ours.committed_offset is None
    if kafka is None:
        said = "kafka-consumer-groups has no line"
        yield "partition", said, [(never and ours.owner is None, "it lists what is committed or assigned")]
    else:
        yield from _against_kafka(row, ours, kafka)
    if burrow is not None:
        yield from _against_burrow(row, ours, burrow)
    elif row.has_burrow:
        yield "partition", "Burrow has no line", [(never, "Burrow knows only what was committed while it looked")]


def _against_kafka(row: Row, ours: PartitionLag, kafka: Described) -> Iterator[tuple[str, str, _Reasons]]:
    if ours.committed_offset != kafka.committed:
        yield "committed", f"{ours.committed_offset} / {kafka.committed}", []
    behind = kafka.end == ours.end_offset + row.open_records and row.open_records > 0
    if ours.end_offset != kafka.end:
        reason = (
            "it counts to the high watermark, ours to where a reader of committed records gets: a transaction is open"
        )
        yield "end", f"{ours.end_offset} / {kafka.end}", [(behind, reason)]
    if ours.lag != kafka.lag:
        yield (
            "lag",
            f"{ours.lag} / {kafka.lag}",
            [
                (kafka.lag == ours.lag + row.open_records and behind, "the open transaction again"),
                (
                    ours.committed_offset is None and kafka.lag is None,
                    "never committed: it says nothing, ours counts what is in the log",
                ),
                (
                    (kafka.lag or 0) < 0 and ours.lag == 0,
                    "committed beyond the log's end: it says less than nothing, ours that nothing waits",
                ),
            ],
        )
    name, _, host = (ours.owner or "").partition("@")
    same = (kafka.consumer_id or "").startswith(name) and bool(name) == bool(kafka.consumer_id)
    if not same or (kafka.host or "") != host:
        yield "owner", f"{ours.owner} / {kafka.consumer_id}@{kafka.host}", []


def _against_burrow(row: Row, ours: PartitionLag, burrow: Judged) -> Iterator[tuple[str, str, _Reasons]]:
    if ours.committed_offset != burrow.committed:
        remade = ours.committed_offset is None and burrow.committed > ours.end_offset
        yield (
            "committed (Burrow)",
            f"{ours.committed_offset} / {burrow.committed}",
            [(remade, "the topic was deleted, and Kafka forgot the offset with it: Burrow does not hear of that")],
        )
    if ours.lag != burrow.lag:
        yield (
            "lag (Burrow)",
            f"{ours.lag} / {burrow.lag}",
            [
                (
                    burrow.lag == ours.lag + row.open_records and row.open_records > 0,
                    "Burrow counts to the high watermark: a transaction is open",
                ),
                (ours.committed_offset is None and burrow.lag == 0, "of the offset that Burrow still has"),
            ],
        )
    if row.watched != burrow.status:
        said = f"{row.watched} / {burrow.status}"
        yield "status (Burrow)", said, [(holds(row, ours, burrow), reason) for holds, reason in _STATUS_REASONS]


_Holds = Callable[[Row, PartitionLag, Judged], bool]
_STATUS_REASONS: Final[list[tuple[_Holds, str]]] = [
    (
        lambda row, ours, burrow: ours.committed_offset is None,
        "of the offset that Burrow still has",
    ),
    (
        lambda row, ours, burrow: ours.lag == 0 and row.open_records > 0,
        "for Burrow the open transaction is lag",
    ),
    (
        lambda row, ours, burrow: burrow.status == "OK" and 0 in (burrow.first_lag, burrow.last_lag, burrow.lag),
        "a commit of Burrow's window had no lag, which is enough for it; ours looks at what stands since",
    ),
    (
        lambda row, ours, burrow: burrow.status == GONE and ours.owner is not None,
        "Burrow knows commits and no members: it takes who is silent for gone, ours sees that the owner is there",
    ),
    (
        lambda row, ours, burrow: row.watched == GONE and ours.owner is None,
        "nobody is a member any more, which Kafka tells ours at once; Burrow waits until a window has gone by",
    ),
    (
        lambda row, ours, burrow: (row.watched, burrow.status) == ("STOP", "REWIND"),
        "both hold: Burrow asks first whether an offset fell, ours whether anybody is there",
    ),
]


_HEADINGS: Final = (
    "partition", "", "committed", "end", "lag: ours, Kafka, Burrow", "owner", "status: ours, Burrow",
    "what differs: why",
)  # fmt: skip


def table(rows: list[Row]) -> str:
    """In the docs' form: a line for each partition, and under its name why anything differs."""
    lines = [f"| {' | '.join(_HEADINGS)} |", "|---" * len(_HEADINGS) + "|"]
    for row in rows:
        ours, kafka, burrow = row.ours, row.kafka, row.burrow
        why = "; ".join(f"{one.figure} {one.said}: {one.reason or 'UNEXPLAINED'}" for one in differences(row))
        cells = (
            f"{row.stage}: {row.group_id} {row.place.topic}/{row.place.partition}",
            row.what,
            _shown(ours and ours.committed_offset),
            _shown(ours and ours.end_offset),
            f"{_shown(ours and ours.lag)}, {_shown(kafka and kafka.lag)}, {_shown(burrow and burrow.lag)}",
            _shown(ours and ours.owner),
            f"{row.watched}, {_shown(burrow and burrow.status)}",
            why,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(value: object) -> str:
    return "-" if value is None else str(value)
