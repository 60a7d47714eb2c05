import asyncio
import uuid
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from broker.topics import create_topics
from embedded.ports import is_free
from settings import KafkaSettings
from tests.faults.brokers import Brokers, run_brokers
from tests.faults.proxy import run_proxy
from tests.kafka_tools import publish, read_all
from tests.waiting import eventually


async def make_topic(servers: str) -> str:
    """A new topic with as many copies as the cluster gives by default."""
    topic = f"t-{uuid.uuid4().hex[:8]}"
    settings = KafkaSettings(kafka_bootstrap_servers=servers, kafka_topic=topic)
    await create_topics(settings, max_image_bytes=2**20, partitions=1)
    return topic


async def values(brokers: Brokers, topic: str) -> list[bytes]:
    return [record.value or b"" for record in await read_all(brokers.direct_servers, topic)]


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_three_nodes_take_records_while_the_leader_is_dead_and_take_it_back(tmp_path: Path, jars: Path) -> None:
    async with run_brokers(tmp_path, jars, count=3) as brokers:
        topic = await make_topic(brokers.bootstrap_servers)
        leader = await brokers.leader(topic, 0)
        assert leader in (1, 2, 3)
        await brokers.caught_up(topic)
        sent: list[bytes] = []
        async with AIOKafkaProducer(bootstrap_servers=brokers.bootstrap_servers, acks="all") as producer:

            async def acknowledged(value: bytes) -> None:
                await asyncio.wait_for(producer.send_and_wait(topic, value), 60)
                sent.append(value)

            await acknowledged(b"with three")
            await brokers.kill(leader)
            await acknowledged(b"with two")
            assert await brokers.leader(topic, 0) != leader
            await brokers.start(leader)
            await brokers.caught_up(topic)
            await acknowledged(b"with three again")
            stopped = await brokers.leader(topic, 0)
            await brokers.stop(stopped)
            await acknowledged(b"after a polite stop")
        assert await values(brokers, topic) == sent
        await publish(brokers.bootstrap_servers, topic, [(b"more", [])])
        assert await brokers.coordinator("anyone") in {1, 2, 3} - {stopped}


@pytest.mark.soak
@pytest.mark.timeout(180)
async def test_a_paused_broker_answers_late_and_a_killed_one_keeps_what_it_acknowledged(
    tmp_path: Path, jars: Path
) -> None:
    async with run_brokers(tmp_path, jars) as brokers:
        topic = await make_topic(brokers.bootstrap_servers)
        async with AIOKafkaProducer(bootstrap_servers=brokers.bootstrap_servers, acks="all") as producer:
            await producer.send_and_wait(topic, b"before")
            await brokers.pause(1)
            late = await producer.send(topic, b"late")
            await asyncio.wait([late], timeout=0.5)
            assert not late.done()
            await brokers.resume(1)
            await asyncio.wait_for(late, 30)
        await brokers.kill(1)
        assert all(map(is_free, brokers.ports.values()))
        await brokers.start(1)
        assert await values(brokers, topic) == [b"before", b"late"]


@pytest.mark.timeout(180)
async def test_clients_come_through_the_advertised_proxy_and_watchers_past_it(tmp_path: Path, jars: Path) -> None:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(run_proxy(0))
        brokers = await stack.enter_async_context(run_brokers(tmp_path, jars, advertise={1: proxy.port}))
        proxy.target_port = brokers.ports[1]
        topic = await make_topic(brokers.direct_servers)
        assert proxy.connections == 0
        await publish(brokers.bootstrap_servers, topic, [(b"through", [])])
        assert proxy.connections >= 2, "the first one asks for the address of the broker, which must be the proxy's"
        proxy.refuse()
        assert await brokers.leader(topic, 0) == 1
        assert await values(brokers, topic) == [b"through"]


@pytest.mark.soak
@pytest.mark.timeout(180)
async def test_a_failing_test_leaves_no_broker_behind(tmp_path: Path, jars: Path) -> None:
    ports: list[int] = []

    async def failing_test() -> None:
        async with run_brokers(tmp_path, jars) as brokers:
            ports.extend(brokers.ports.values())
            await brokers.pause(1)
            raise RuntimeError("the test failed")

    with pytest.raises(RuntimeError, match="the test failed"):
        await failing_test()
    await eventually(lambda: all(map(is_free, ports)))
