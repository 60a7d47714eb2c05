"""Topics: make them with sane settings, grow them, check that they are there; and the cluster's id."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from broker.clients import open_admin
from broker.failures import kafka_failures
from errors import BrokerUnavailable, CommandFailed, UsageError
from settings import KafkaSettings

DEFAULT_PARTITIONS = 6
ENVELOPE_BYTES = 64 * 1024
"""Room for what an envelope adds to an image, and for what a dead letter adds to a record."""

_VISIBLE_S = 10.0
_LOOK_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a consumer must know before it begins."""

    id: str
    partitions: dict[str, int]
    """Number of partitions of each of our topics."""


def topics_of(settings: KafkaSettings, max_image_bytes: int) -> dict[str, dict[str, str]]:
    """Our topics with their settings. The input must hold an image as base64; the DLQ a record with more headers."""
    largest = max_image_bytes * 4 // 3 + ENVELOPE_BYTES
    wanted = {
        settings.kafka_topic: {"max.message.bytes": str(largest)},
        settings.kafka_dlq_topic: {"max.message.bytes": str(largest + ENVELOPE_BYTES)},
    }
    if settings.kafka_scores_topic:
        wanted[settings.kafka_scores_topic] = {}
    return wanted


async def create_topics(
    settings: KafkaSettings,
    *,
    max_image_bytes: int,
    partitions: int | None = None,
    replication_factor: int | None = None,
) -> list[str]:
    """Create what is missing and grow what is too small; what was done, a line a topic.

    `partitions`: of the input and scores topics (default: DEFAULT_PARTITIONS for new ones); the DLQ keeps one.
    `replication_factor`: default the broker's. Raises CommandFailed when a topic has more partitions than asked for.
    """
    done = []
    async with open_admin(settings) as admin:
        with kafka_failures(settings):
            there = await _partitions(admin, list(topics_of(settings, max_image_bytes)))
            for topic, config in topics_of(settings, max_image_bytes).items():
                wanted = 1 if topic == settings.kafka_dlq_topic else partitions
                has = there.get(topic)
                if has is None:
                    there[topic] = wanted or DEFAULT_PARTITIONS
                    await _create(admin, topic, there[topic], replication_factor, config)
                    done.append(f"{topic}: created with {_count(there[topic])}")
                elif wanted is None or has == wanted or topic == settings.kafka_dlq_topic:
                    done.append(f"{topic}: exists with {_count(has)}")
                elif has < wanted:
                    there[topic] = wanted
                    await admin.create_partitions({topic: NewPartitions(wanted)})
                    done.append(f"{topic}: grown from {has} to {_count(wanted)}")
                elif has > wanted:
                    raise CommandFailed(
                        f"{topic} has {_count(has)}, asked for {wanted}: Kafka cannot shrink a topic; "
                        f"leave --partitions out, or give at least {has}"
                    )
            await _visible(admin, there)
    return done


async def inspect(settings: KafkaSettings, topics: list[str]) -> Cluster:
    """The cluster's id and the partitions of `topics`. Raises UsageError for a missing one, BrokerUnavailable."""
    async with open_admin(settings) as admin:
        with kafka_failures(settings):
            cluster = (await admin.describe_cluster())["cluster_id"]
            there = await _partitions(admin, topics)
    missing = [topic for topic in topics if topic not in there]
    if missing:
        raise UsageError(
            f"topic {', '.join(missing)} does not exist on {settings.kafka_bootstrap_servers}: "
            "`streamscorer topics create` makes it (SCORER_KAFKA_TOPIC names another)"
        )
    return Cluster(id=str(cluster), partitions=there)


async def _partitions(admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    described: list[dict[str, Any]] = await admin.describe_topics(topics)
    for topic in described:
        code = topic["error_code"]
        if code == UnknownTopicOrPartitionError.errno:
            continue
        if code:
            error = for_code(code)
            if error.retriable:
                raise BrokerUnavailable(f"topic {topic['topic']} is not ready yet: {error.__name__}")
            raise UsageError(f"topic {topic['topic']}: {error.__name__} ({error.description})")
        found[topic["topic"]] = len(topic["partitions"])
    return found


async def _visible(admin: AIOKafkaAdminClient, made: dict[str, int]) -> None:
    """Wait until the brokers show what the controller has made: who asks at once would not find it.

    Not for ever: what matters is that it was made.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_VISIBLE_S):
            while True:
                with suppress(BrokerUnavailable):  # they have no leaders yet
                    seen = await _partitions(admin, list(made))
                    if all(seen.get(topic, 0) >= partitions for topic, partitions in made.items()):
                        return
                await asyncio.sleep(_LOOK_AGAIN_S)


async def _create(
    admin: AIOKafkaAdminClient, topic: str, partitions: int, replication_factor: int | None, config: dict[str, str]
) -> None:
    # An empty assignment lets -1 through the client's own check; the broker then takes its default.
    assignments: dict[int, list[int]] | None = None if replication_factor else {}
    new = NewTopic(topic, partitions, replication_factor or -1, replica_assignments=assignments, topic_configs=config)
    try:
        response: Any = await admin.create_topics([new])
    except KafkaError as error:
        if error.retriable:
            raise
        raise CommandFailed(f"{topic} could not be created: {error}") from error
    for name, code, *message in response.topic_errors:
        if code and code != TopicAlreadyExistsError.errno:
            raise CommandFailed(
                f"{name} could not be created: {for_code(code).__name__} {' '.join(filter(None, message))}"
            )


def _count(partitions: int) -> str:
    return f"{partitions} partition" + ("s" if partitions != 1 else "")
