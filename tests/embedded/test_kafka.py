import os
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from embedded.kafka import run_kafka
from errors import CommandFailed

TOPIC = "kept"
LARGE = os.urandom(16 * 1024 * 1024)


async def make_topic(servers: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def produce(servers: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=servers, max_request_size=len(value) + 1024) as producer:
        await producer.send_and_wait(TOPIC, value)


async def consume(servers: str) -> bytes:
    consumer = AIOKafkaConsumer(TOPIC, bootstrap_servers=servers, group_id="readers", auto_offset_reset="earliest")
    async with consumer:
        return (await consumer.getone()).value or b""


async def test_messages_and_address_survive_a_restart_in_a_place_with_an_odd_name(tmp_path: Path, jars: Path) -> None:
    data_dir = tmp_path / "my dätä, für 数据 = x"
    async with run_kafka(data_dir, jars) as first:
        await make_topic(first.bootstrap_servers)
        await produce(first.bootstrap_servers, LARGE)
        assert os.getsid(first.child.pid) != os.getsid(0)
        began = time.monotonic()
    assert time.monotonic() - began < 8
    async with run_kafka(data_dir, jars) as second:
        assert second.bootstrap_servers == first.bootstrap_servers
        assert await consume(second.bootstrap_servers) == LARGE
        with pytest.raises(CommandFailed, match=f"in use by process {os.getpid()}"):
            async with run_kafka(data_dir, jars):
                pass


async def test_a_half_written_format_is_repaired_and_loses_nothing(tmp_path: Path, jars: Path) -> None:
    home = tmp_path / "kafka"
    (home / "formatting-abc" / "data").mkdir(parents=True)
    (home / "data" / "kept-0").mkdir(parents=True)
    (home / "data" / "meta.properties").write_text("", encoding="ascii")
    async with run_kafka(tmp_path, jars) as kafka:
        await make_topic(kafka.bootstrap_servers)
    assert (home / "data.broken-1" / "kept-0").is_dir()
    assert not (home / "formatting-abc").exists()


async def test_a_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"(?s)ended with exit code 1.*StorageTool"):
        async with run_kafka(tmp_path, tmp_path / "no jars"):
            pass
