"""What the consumer tells of its records and batches as spans, where traces are on."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumer.items import Batch, Item
from consumer.lanes import Lane
from schemas.fields import is_sampled, valid_traceparent
from settings import KafkaSettings

if TYPE_CHECKING:
    from tracing.spans import Attributes, Span, Tracing


@dataclass(slots=True)
class _Unsettled:
    """Spans of a batch whose offsets are not committed yet."""

    spans: "list[Span]"
    ends: dict[Lane, int]
    """The last offset of the batch in each lane that is behind."""


class Traces:
    """One span for each record whose producer keeps its trace, in that trace; one span a batch, which links to them.

    A record's span begins with the poll and ends with the row; below it are `decode`, `queue`, `infer` and `write`, and
    later `commit`. The batch's span begins a trace of its own and holds the hops. It is made where at least one record
    is traced or came without any trace: where all producers chose not to keep theirs there is nothing.
    """

    def __init__(self, tracing: "Tracing", settings: KafkaSettings) -> None:
        self._tracing = tracing
        self._topic = settings.kafka_topic
        group = {"messaging.consumer.group.name": settings.kafka_group_id}
        self._process = tracing.messaging("process", self._topic) | group
        self._settle = tracing.messaging("commit", self._topic) | group
        self._unsettled: list[_Unsettled] = []

    def begin(self, batch: Batch) -> None:
        """Behind hop 2, which finds the traceparents."""
        for item in batch.items:
            if (parent := _parent(item)) is not None and is_sampled(parent):
                span = self._start(parent, batch.polled_ns, self._of_record(item))
                item.span = span if span.is_recording() else None

    def gather(self, batch: Batch) -> None:
        """Before hop 4: these records go on together."""
        spans = [item.span for item in batch.items if item.span is not None]
        if not spans and all(_parent(item) is not None for item in batch.items):
            return
        about: Attributes = {**self._process, "messaging.batch.message_count": len(batch.items)}
        span = self._start(None, batch.polled_ns, about)
        if span.is_recording():
            batch.span = span
            self._tracing.link(span, spans)
            for one in spans:
                self._tracing.link(one, [span])

    def trace_id(self, batch: Batch) -> str | None:
        """Of the batch's own trace."""
        return None if batch.span is None else self._tracing.trace_id(batch.span)

    def decided(self, batch: Batch) -> list[tuple[float, str]]:
        """Every record has its row. Of those scored and traced: seconds since the record's timestamp, and trace id."""
        now_ns = time.time_ns()
        exemplars: list[tuple[float, str]] = []
        spans: list[Span] = []
        for item in batch.items:
            if item.span is not None:
                self._finish(item, item.span, batch)
                spans.append(item.span)
                if item.outcome == "scored":
                    waited_s = max(0.0, now_ns / 1e9 - item.record.at.timestamp_ms / 1000)
                    exemplars.append((waited_s, self._tracing.trace_id(item.span)))
        if batch.span is not None:
            for hop, began_ns, ended_ns in batch.hops:
                self._tracing.measured(hop, batch.span, began_ns, ended_ns)
            batch.span.end()
            spans.append(batch.span)
        if spans:
            self._unsettled.append(_Unsettled(spans, {item.lane: item.record.at.offset for item in batch.items}))
        return exemplars

    def committed(self, offsets: Mapping[Lane, int], began_ns: int) -> None:
        """Hop 7: Kafka took these offsets. A batch is settled by the commit that passes its last record."""
        now_ns, still = time.time_ns(), []
        for batch in self._unsettled:
            if any(lane.revoked for lane in batch.ends):
                continue  # somebody else commits it
            batch.ends = {lane: end for lane, end in batch.ends.items() if offsets.get(lane, 0) <= end}
            if batch.ends:
                still.append(batch)
                continue
            for span in batch.spans:
                name = f"commit {self._topic}"
                self._tracing.start(name, span, self._settle, kind="CLIENT", began_ns=began_ns).end(now_ns)
        self._unsettled = still

    def _start(self, parent: str | None, began_ns: int, about: "Attributes") -> "Span":
        return self._tracing.start(f"process {self._topic}", parent, about, kind="CONSUMER", began_ns=began_ns)

    def _of_record(self, item: Item) -> "Attributes":
        at, value = item.record.at, item.record.value
        about: dict[str, str | int] = {
            **self._process,
            "messaging.destination.partition.id": str(at.partition),
            "messaging.kafka.offset": at.offset,
            "messaging.message.body.size": len(value or b""),
        }
        if item.event is not None:
            about |= {"cloudevents.event_source": item.event.source, "cloudevents.event_id": item.event.id}
        return about

    def _finish(self, item: Item, span: "Span", batch: Batch) -> None:
        hops = {hop: (began_ns, ended_ns) for hop, began_ns, ended_ns in batch.hops}
        if item.prediction is not None and "score" in hops:
            self._tracing.stages(span, hops["score"][0], item.prediction.timings_ms)
        if "write" in hops:
            self._tracing.measured("write", span, *hops["write"])
        span.set_attribute("streamscorer.outcome", str(item.outcome))
        if item.refusal is not None:
            self._tracing.failed(span, item.refusal.reason)
        span.end()


def _parent(item: Item) -> str | None:
    """The record's traceparent, also where its envelope could not be read."""
    if item.event is not None:
        return item.event.traceparent
    return next((valid_traceparent(text) for name, text in item.record.headers if name == "traceparent"), None)
