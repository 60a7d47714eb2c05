"""Publish an event as a step of its trace: with tracing on, a span, and its id in the record's header `traceparent`."""

from typing import TYPE_CHECKING

from schemas.envelope import Encoded

if TYPE_CHECKING:
    from broker.publisher import Position, Publisher
    from tracing.spans import Tracing

HEADER = "traceparent"


async def publish_traced(
    publisher: "Publisher", tracing: "Tracing | None", topic: str, message: Encoded, traceparent: str | None
) -> "Position":
    """Like `Publisher.publish`. `traceparent` is the one that the event came with, which is kept with tracing off."""
    if tracing is None:
        return await publisher.publish(topic, key=message.key, value=message.value, headers=message.headers)
    with tracing.sending(topic, traceparent) as span:
        kept = [header for header in message.headers if header[0] != HEADER]
        headers = (*kept, (HEADER, tracing.traceparent(span).encode()))
        sent = await publisher.publish(topic, key=message.key, value=message.value, headers=headers)
        span.set_attribute("messaging.destination.partition.id", str(sent.partition))
        span.set_attribute("messaging.kafka.offset", sent.offset)
    return sent
