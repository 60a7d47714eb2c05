"""What is in the log: where each line belongs, and nothing that is secret, at every level."""

import base64
import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from api.app import create_app
from api.services import Services
from broker.topics import inspect
from consumer.worker import Worker
from settings import LogSettings, Settings
from telemetry import configure_logging
from tests.api.conftest import client_of
from tests.checkpoints import sample_images
from tests.consumer.conftest import open_parts, working
from tests.consumer.test_worker import drained, servers, url
from tests.kafka_tools import publish
from tests.waiting import eventually

SECRET = "hunter2-0f9a"


@contextmanager
def debug_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """All that is logged in the block, at every level, as JSON."""
    root, known = logging.getLogger(), structlog.get_config()
    loggers = [logger for logger in root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    handlers, levels = root.handlers[:], [(logger, logger.level) for logger in (root, *loggers)]
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    configure_logging(LogSettings(log_format="json", log_level="debug"))
    try:
        yield written
    finally:
        root.handlers[:] = handlers
        for logger, level in levels:
            logger.setLevel(level)
        structlog.configure(**known)


@pytest.mark.usefixtures("cheap_core")
async def test_each_line_says_where_it_belongs_and_none_holds_an_image_a_key_or_a_token(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = sample_images()["cat.png"]
    settings = settings.model_copy(update={"kafka_sasl_password": SecretStr(SECRET)})
    event = {"id": "by-uri", "source": "/me", "image_uri": f"https://me:{SECRET}@example.org/cat.png?sig={SECRET}"}
    inline = {"id": "inline", "source": "/me", "image_base64": base64.b64encode(image).decode()}
    headers = [("authorization", f"Bearer {SECRET}".encode()), ("x-api-key", SECRET.encode())]
    values = [image, json.dumps(event).encode(), json.dumps(inline).encode(), b"no image " + SECRET.encode()]
    await publish(servers(settings), settings.kafka_topic, [(value, headers) for value in values], partition=1)
    callers = {
        "authorization": f"Bearer {SECRET}",
        "x-api-key": SECRET,
        "cookie": f"session={SECRET}",
        "x-request-id": "r1",
    }
    with debug_log(monkeypatch) as written:
        async with open_parts(settings) as parts:
            cluster = await inspect(settings, [settings.kafka_topic, settings.kafka_dlq_topic])
            rooms = (parts.core, parts.store, parts.publisher, parts.fetcher, parts.metrics)
            app = create_app(Services(settings, *rooms, {}))  # type: ignore[arg-type]  # the core is a whole one
            async with client_of(app) as client, working(Worker(settings, parts, cluster)):
                for path, body in (("/predict", image), ("/events", image), ("/predict", SECRET.encode())):
                    await client.post(f"{path}?access_token={SECRET}", content=body, headers=callers)
                    await client.post(path, content=body, headers=callers)
                await client.post("/predict", json=event, headers=callers)
                await client.post("/predict", json=inline, headers=callers)
                await eventually(partial(drained, settings))
    text = written.getvalue()
    told: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    said = "\n".join(str(value) for line in told for value in line.values())  # without JSON's own escapes

    assert {line["level"] for line in told} >= {"info", "debug"}
    pictured = (base64.b64encode(image).decode()[40:80], repr(image[20:40])[2:-1], image[20:40].hex())
    for secret in (SECRET, *pictured, url(settings)):
        assert secret not in text + said
    assert all(line["request_id"] == "r1" for line in told if line["logger"] == "api")
    ours = [line for line in told if line["logger"] == "consumer"]
    assert all(line["topic"] == settings.kafka_topic and line["group"] == settings.kafka_group_id for line in ours)
    batches = [line for line in ours if line["event"] == "batch"]
    assert sum(line["records"] for line in batches) == len(values) + 1
    assert {place.partition(":")[0] for line in batches for place in line["offsets"].split()} >= {"1"}
    assert len([line for line in ours if line["event"] == "drained"]) == 1
