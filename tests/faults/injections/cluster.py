"""Faults of Kafka: a node stopped, killed or frozen, among them partition leaders and the group's coordinator."""

import asyncio
import time

from broker.topics import create_topics
from settings import KafkaSettings
from tests.faults.world import Blow, World

_GROWN_BY = 2


async def stop_node(world: World) -> Blow:
    """SIGTERM to a node; it comes back after some seconds."""
    node = world.choose.randint(1, world.ground.brokers.count)
    await _whole(world)
    began_s = time.time()
    await world.ground.brokers.stop(node)
    await asyncio.sleep(world.seconds(1, 4))
    await world.ground.brokers.start(node)
    return Blow.since(began_s)


async def kill_leader(world: World) -> Blow:
    """SIGKILL to the node that leads a partition."""
    partition = world.choose.choice(sorted(world.sampler.newest_s))
    await _whole(world)
    return await _kill(world, await world.ground.brokers.leader(world.where.topic, partition))


async def kill_coordinator(world: World) -> Blow:
    """SIGKILL to the node that coordinates the group."""
    await _whole(world)
    return await _kill(world, await world.ground.brokers.coordinator(world.where.group))


async def freeze_node(world: World) -> Blow:
    """SIGSTOP to a node: its connections stay open, and nothing answers."""
    node = world.choose.randint(1, world.ground.brokers.count)
    await _whole(world)
    began_s = time.time()
    await world.ground.brokers.pause(node)
    await asyncio.sleep(world.seconds(2, 8))
    await world.ground.brokers.resume(node)
    return Blow.since(began_s)


async def add_partitions(world: World) -> Blow:
    """The topic grows while it is consumed."""
    began_s = time.time()
    settings = KafkaSettings(kafka_bootstrap_servers=world.where.servers, kafka_topic=world.where.topic)
    count = len(world.sampler.newest_s) + _GROWN_BY
    await create_topics(settings, max_image_bytes=8 * 2**20, partitions=count)
    return Blow.since(began_s)


async def _kill(world: World, node: int) -> Blow:
    began_s = time.time()
    await world.ground.brokers.kill(node)
    await asyncio.sleep(world.seconds(4, 8))
    await world.ground.brokers.start(node)
    # With a copy left the cluster goes on without the node; alone, it is down until the node is back.
    return Blow(began_s, began_s) if world.ground.brokers.count > 1 else Blow.since(began_s)


async def _whole(world: World) -> None:
    """One node at a time: two without the newest records would be a loss that nobody promised to survive."""
    for topic in (world.where.topic, world.where.dlq_topic, "__consumer_offsets"):
        await world.ground.brokers.caught_up(topic)
