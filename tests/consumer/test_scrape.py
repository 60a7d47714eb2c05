"""What a scrape shows: every metric of the contract with its labels, and no more series after a flood of oddities."""

import uuid
from functools import partial

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from api.app import create_app
from api.services import Services
from broker.topics import inspect
from consumer.worker import Worker
from settings import Settings
from tests.api.conftest import client_of
from tests.checkpoints import sample_images
from tests.consumer.conftest import open_parts, working
from tests.consumer.test_worker import drained, servers
from tests.kafka_tools import publish
from tests.waiting import eventually

CONTRACT = {
    "scorer_records_total": "outcome",
    "scorer_batch_records_bucket": "le",
    "scorer_batch_seconds_bucket": "hop le",
    "scorer_end_to_end_seconds_bucket": "le",
    "scorer_inflight_records": "",
    "scorer_inflight_bytes": "",
    "scorer_rebalances_total": "",
    "scorer_commit_failures_total": "",
    "scorer_paused": "reason",
    "scorer_last_progress_timestamp_seconds": "",
    "scorer_inference_images_total": "engine origin",
    "scorer_inference_batch_size_bucket": "le",
    "scorer_inference_seconds_bucket": "le",
    "scorer_queue_seconds_bucket": "le priority",
    "scorer_queue_depth": "priority",
    "scorer_decode_seconds_bucket": "le",
    "scorer_result_cache_total": "result",
    "scorer_refused_total": "reason",
    "scorer_top1_probability_bucket": "le",
    "scorer_model_info": "device engine model_version precision weights",
    "scorer_store_seconds_bucket": "le operation",
    "scorer_dead_letters_total": "reason",
    "http_server_request_duration_seconds_bucket": "http_request_method http_response_status_code http_route le",
}
VALUES = {
    ("scorer_records_total", "outcome"): {"scored", "duplicate", "redelivered", "dead_lettered", "tombstone"},
    ("scorer_batch_seconds_bucket", "hop"): {"poll", "decode", "skip", "score", "publish", "write", "commit"},
    ("scorer_queue_depth", "priority"): {"interactive", "stream"},
    ("scorer_result_cache_total", "result"): {"hit", "miss", "coalesced"},
    ("scorer_inference_images_total", "origin"): {"http", "kafka"},
    ("scorer_dead_letters_total", "reason"): {
        "InvalidEvent", "InvalidImage", "ImageTooLarge", "Conflict", "SourceRefused", "SourceNotFound",
        "SourceUnavailable", "UnreadableRecord", "EngineRejected", "ProcessCrashed",
    },
}  # fmt: skip


async def scraped(client: httpx.AsyncClient) -> list[Sample]:
    text = (await client.get("/metrics")).text
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


async def flood(client: httpx.AsyncClient, settings: Settings, count: int) -> None:
    """Odd requests and odd records: whatever a caller or a producer can make up is another one each time."""
    image = sample_images()["cat.png"]
    records: list[tuple[bytes | None, list[tuple[str, bytes]]]] = []
    for _ in range(count):
        odd = uuid.uuid4().hex
        await client.get(f"/{odd}/{odd}", headers={"x-request-id": odd, "host": odd, "user-agent": odd})
        await client.request(f"M{odd}", f"/predict?{odd}={odd}")
        await client.get(f"/scores/{odd}?source={odd}")
        await client.get(f"/scores?label={odd}&model_version={odd}&cursor={odd}")
        await client.get(f"/problems/{odd}")
        await client.post(f"/predict?top_k={odd}", content=image)
        await client.post("/predict", content=odd.encode(), headers={"content-type": f"image/{odd}"})
        headers = [("streamscorer-error-class", odd.encode()), (f"ce_{odd}", b"x"), ("traceparent", odd.encode())]
        records += [(odd.encode(), headers), (odd.encode(), []), (image + odd.encode(), [])]
        event = f'{{"id": "{odd}", "source": "{odd}", "image_uri": "https://{odd}.example/{odd}"}}'
        records.append((event.encode(), []))
    await publish(servers(settings), settings.kafka_topic, records)
    await eventually(partial(drained, settings))


@pytest.mark.usefixtures("cheap_core")
async def test_every_metric_of_the_contract_is_there_and_a_flood_of_oddities_adds_no_series(settings: Settings) -> None:
    settings = settings.model_copy(update={"max_wait_s": 10.0})
    async with open_parts(settings) as parts:
        cluster = await inspect(settings, [settings.kafka_topic, settings.kafka_dlq_topic])
        rooms = (parts.core, parts.store, parts.publisher, parts.fetcher, parts.metrics)
        app = create_app(Services(settings, *rooms, {}))  # type: ignore[arg-type]  # the core is a whole one
        async with client_of(app) as client, working(Worker(settings, parts, cluster)):
            assert (await client.post("/predict", content=sample_images()["clock.png"])).status_code == 200
            await flood(client, settings, 3)
            await scraped(client)  # it finds all but itself
            before = await scraped(client)
            await flood(client, settings, 20)
            after = await scraped(client)

    labels = {name: {tuple(sorted(s.labels)) for s in after if s.name == name} for name in CONTRACT}
    assert labels == {name: {tuple(names.split())} for name, names in CONTRACT.items()}
    for (name, label), values in VALUES.items():
        assert {s.labels[label] for s in after if s.name == name} == values, name
    assert series(after) - series(before) == set()


def series(samples: list[Sample]) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    """Names with their labels. (The first collection of garbage adds a generation to Python's own metrics.)"""
    return {(s.name, tuple(sorted(s.labels.items()))) for s in samples if not s.name.startswith("python_")}
