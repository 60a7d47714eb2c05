"""A record's way as its producer's trace shows it: from `publish` to the committed row, on a real collector."""

from functools import partial
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from prometheus_client.exposition import choose_encoder
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

import consumer.holds
from cli.pictures import Paths
from cli.publish import Plan, publish_all
from consumer.items import Batch, Item
from consumer.lanes import Lane
from consumer.traces import Traces
from schemas.envelope import decode_event
from schemas.records import Coordinates, Record
from settings import KafkaSettings, Settings
from telemetry import Metrics
from tests.checkpoints import SAMPLES, sample_images
from tests.consumer.conftest import running
from tests.consumer.test_worker import drained, servers, url
from tests.kafka_tools import publish, rows
from tests.tracing.collector import Collector
from tests.waiting import eventually
from tracing.opening import open_tracing
from tracing.spans import Tracing

JPEG = b"\xff\xd8\xff\xe0 a picture as far as its envelope goes"
MINE = "0af7651916cd43dd8448eb211c80319c"
PRODUCER = f"00-{MINE}-b7ad6b7169203331-01"
NOT_KEPT = f"00-{MINE}-b7ad6b7169203331-00"


async def scored(settings: Settings, tracing: Tracing | None) -> Metrics:
    """Run a consumer until all is committed. (The spans are at the collector once `tracing` is closed.)"""
    async with running(settings, tracing) as scorer:
        await eventually(partial(drained, settings))
    return scorer.metrics


@pytest.mark.usefixtures("cheap_core")
async def test_a_record_is_followed_from_publish_to_the_committed_row(
    settings: Settings, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEPARENT", PRODUCER)
    assert await publish_all(settings, Paths([str(SAMPLES / "cat.png")]), Plan("/me")) == (1, 0)
    async with open_tracing() as tracing:
        with capture_logs(processors=[merge_contextvars]) as lines:
            metrics = await scored(settings, tracing)
    [(event_id, traceparent, partition, offset)] = await rows(
        url(settings), "select event_id, traceparent, kafka_partition, kafka_offset from scores"
    )

    topic = settings.kafka_topic
    sent = collector.one(f"send {topic}")
    assert (sent.kind, sent.trace_id, sent.parent) == ("PRODUCER", MINE, "b7ad6b7169203331")
    assert traceparent == f"00-{MINE}-{sent.id}-01"
    where = {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
        "messaging.kafka.offset": offset,
    }
    does = {"messaging.operation.name": "send", "messaging.operation.type": "send"}
    assert sent.attributes == where | does

    process = collector.one(f"process {topic}", parent=sent.id)
    assert (process.kind, process.trace_id) == ("CONSUMER", MINE)
    group = {"messaging.consumer.group.name": settings.kafka_group_id}
    does = {"messaging.operation.name": "process", "messaging.operation.type": "process"}
    assert process.attributes == where | does | group | {
        "messaging.message.body.size": (SAMPLES / "cat.png").stat().st_size,
        "cloudevents.event_source": "/me",
        "cloudevents.event_id": event_id,
        "streamscorer.outcome": "scored",
    }
    stages = collector.below(process)
    assert set(stages) == {"decode", "queue", "infer", "write", f"commit {topic}"}
    assert process.began_ns <= stages["decode"].began_ns < stages["infer"].ended_ns <= stages["write"].began_ns
    assert stages["write"].ended_ns <= process.ended_ns <= stages[f"commit {topic}"].ended_ns

    batch = collector.one(f"process {topic}", parent="")
    assert (batch.links, process.links) == ([process.place], [batch.place])
    assert batch.attributes == group | does | {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.batch.message_count": 1,
    }
    hops = collector.below(batch)
    assert set(hops) == {"decode", "skip", "score", "publish", "write", f"commit {topic}"}
    assert hops[f"commit {topic}"].kind == "CLIENT"
    assert hops[f"commit {topic}"].attributes["messaging.operation.type"] == "settle"
    [line] = [line for line in lines if line["event"] == "batch"]
    assert (line["trace_id"], line["topic"], line["offsets"]) == (batch.trace_id, topic, f"{partition}:{offset}")
    encode, _ = choose_encoder("application/openmetrics-text")
    told = encode(metrics.registry).decode().splitlines()
    pointing = {line.partition("_bucket")[0]: line.split('trace_id="')[1][:32] for line in told if " # {" in line}
    assert pointing == {"scorer_end_to_end_seconds": MINE, "scorer_inference_seconds": batch.trace_id}


@pytest.mark.usefixtures("cheap_core")
async def test_a_batch_of_traced_records_is_one_span_that_links_to_all(
    settings: Settings, collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer.holds, "PATIENCE_S", 0)  # what is fetched leaves its batch, and comes in its own
    image = sample_images()["cat.png"]
    (tmp_path / "cat.png").write_bytes(image)
    by_uri = f'{{"id": "s", "image_uri": "{(tmp_path / "cat.png").as_uri()}"}}'.encode()
    traces = [f"00-{number:032x}-{number:016x}-01" for number in range(1, 6)]
    records = [(value, [("traceparent", trace.encode())]) for trace, value in
               zip(traces, [image, image, b"no image", b"{}", by_uri], strict=True)]  # fmt: skip
    await publish(servers(settings), settings.kafka_topic, records, partition=0)
    async with open_tracing() as tracing:
        await scored(settings, tracing)
    process, commit = f"process {settings.kafka_topic}", f"commit {settings.kafka_topic}"
    of_records = {span.trace_id: span for span in collector.spans if span.name == process and span.parent}
    batches = [span for span in collector.spans if span.name == process and not span.parent]
    assert set(of_records) == {f"{number:032x}" for number in range(1, 6)}
    assert sorted(place for batch in batches for place in batch.links) == sorted(s.place for s in of_records.values())
    assert sorted(batch.attributes["messaging.batch.message_count"] for batch in batches) == [1, 4]
    for number in (1, 2, 5):
        assert {"decode", "infer", "write", commit} <= set(collector.below(of_records[f"{number:032x}"]))
    for number in (3, 4):
        span = of_records[f"{number:032x}"]
        assert (span.failed, span.attributes["error.type"]) == (True, "InvalidEvent")
        assert span.attributes["streamscorer.outcome"] == "dead_lettered"
        assert set(collector.below(span)) == {"write", commit}


@pytest.mark.parametrize(
    ("values", "of_batch", "of_records"),
    [
        ({NOT_KEPT: JPEG}, 0, 0),
        ({NOT_KEPT: b"no image"}, 0, 0),
        ({NOT_KEPT: JPEG, "": JPEG}, 1, 0),
        ({NOT_KEPT: JPEG, PRODUCER: JPEG}, 1, 1),
        ({"": None}, 1, 0),
    ],
)
async def test_where_no_producer_keeps_its_trace_there_is_none(
    collector: Collector, values: dict[str, bytes | None], of_batch: int, of_records: int
) -> None:
    lane = Lane(TopicPartition("t", 0), 0)
    items = []
    for offset, (trace, value) in enumerate(values.items()):
        headers = (("traceparent", trace.encode()),) if trace else ()
        record = Record(Coordinates("c", "t", 0, offset, 1), None, value, headers)
        items.append(Item(record, lane, event=decode_event(record, "coordinates") if value == JPEG else None))
    async with open_tracing() as tracing:
        assert tracing is not None
        traces = Traces(tracing, KafkaSettings())
        traces.begin(batch := Batch(items))
        traces.gather(batch)
        traces.decided(batch)
    assert len([span for span in collector.spans if not span.parent]) == of_batch
    assert len([span for span in collector.spans if span.parent]) == of_records
