"""A cluster that keeps a group or a topic from us: said by name, with what is missing."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Schema, String
from structlog.testing import capture_logs

from broker import election
from broker.election import Election
from broker.groups import open_groups
from broker.topics import create_topics
from embedded.kafka import new_cluster_id, run_node
from embedded.kafka_node import KafkaNode
from embedded.ports import keep_ports
from errors import UsageError
from settings import KafkaSettings
from tests.waiting import eventually

pytestmark = pytest.mark.soak
_TOPIC, _GROUP, _LITERAL, _READ, _DESCRIBE, _DENY = 2, 3, 3, 3, 8, 2


class CreateAclsResponse(Response):
    API_KEY = 30
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32), ("results", Array(("error_code", Int16), ("error_message", String("utf-8"))))
    )


class CreateAclsStruct(RequestStruct):
    API_KEY = 30
    API_VERSION = 1
    RESPONSE_TYPE = CreateAclsResponse
    SCHEMA = Schema(
        (
            "creations",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                ("pattern_type", Int8),
                ("principal", String("utf-8")),
                ("host", String("utf-8")),
                ("operation", Int8),
                ("permission_type", Int8),
            ),
        )
    )


class CreateAcls(Request[CreateAclsStruct]):
    API_KEY = 30

    def __init__(self, resource_type: int, name: str, operation: int) -> None:
        self._rule = (resource_type, name, _LITERAL, "User:ANONYMOUS", "*", operation, _DENY)

    def build(self, request_struct_class: type[CreateAclsStruct]) -> CreateAclsStruct:
        return request_struct_class([self._rule])


class Guarded(KafkaNode):
    """A node that keeps rules; where there is none, everybody may do everything."""

    def properties(self) -> str:
        return super().properties() + (
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
            "allow.everyone.if.no.acl.found=true\n"
        )


@pytest.fixture
async def settings(jars: Path, tmp_path: Path) -> AsyncIterator[KafkaSettings]:
    ports = keep_ports(tmp_path / "ports.json", ("kafka", "controller"))
    node = Guarded(port=ports["kafka"], controller_port=ports["controller"])
    name = f"p-{uuid.uuid4().hex[:8]}"
    made = KafkaSettings(kafka_bootstrap_servers=node.address, kafka_topic=name, kafka_group_id=name)
    async with run_node(tmp_path / "node", node, jars, new_cluster_id()):

        async def ready() -> bool:
            await create_topics(made, max_image_bytes=2**20, partitions=1)
            async with AIOKafkaConsumer(
                bootstrap_servers=node.address, group_id=name, enable_auto_commit=False
            ) as consumer:
                consumer.assign([TopicPartition(name, 0)])
                await consumer.commit({TopicPartition(name, 0): 0})
            return True

        await eventually(lambda: _tried(ready))
        yield made


async def _tried(ready: Any) -> bool:
    try:
        return bool(await ready())
    except Exception:  # noqa: BLE001  (it is starting)
        return False


async def deny(settings: KafkaSettings, resource_type: int, name: str, operation: int = _DESCRIBE) -> None:
    client = AIOKafkaClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await client.bootstrap()
    try:
        answer = await client.send(client.get_random_node(), CreateAcls(resource_type, name, operation))
        assert [code for code, _ in answer.results] == [0]
    finally:
        await client.close()


async def refusal(settings: KafkaSettings) -> str:
    async with open_groups(settings) as groups:
        for _ in range(100):
            try:
                await groups.look(settings.kafka_group_id, [settings.kafka_topic])
            except UsageError as error:
                return str(error)
            await asyncio.sleep(0.05)  # the rule takes a moment to reach the broker
    return ""


async def test_what_is_kept_from_us_is_named(settings: KafkaSettings) -> None:
    await deny(settings, _TOPIC, settings.kafka_topic)
    name = settings.kafka_topic
    assert await refusal(settings) == (
        f"no permission to look at topic {name}: it needs the operation DESCRIBE on that topic"
    )
    await deny(settings, _GROUP, settings.kafka_group_id)
    assert await eventually(lambda: refused_group(settings))


async def test_who_may_not_stand_for_election_says_so_once_and_knows_that_nobody_chooses(
    settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(election, "_REFUSED_AGAIN_S", 0.05)
    group_id, able = f"{settings.kafka_group_id}.monitor", asyncio.Event()
    able.set()
    await deny(settings, _GROUP, group_id, _READ)
    candidate = Election(settings, group_id, able)
    with capture_logs() as logs:
        standing = asyncio.create_task(candidate.stand())
        await eventually(lambda: candidate.refused)
        await asyncio.sleep(0.3)  # some more refusals
        standing.cancel()
    assert not candidate.won
    (said,) = [line for line in logs if line["log_level"] == "warning"]
    assert said["why"] == "GroupAuthorizationFailedError: it needs the operation READ on that group"


async def refused_group(settings: KafkaSettings) -> bool:
    return await refusal(settings) == (
        f"no permission to look at group {settings.kafka_group_id}: it needs the operation DESCRIBE on that group"
    )
