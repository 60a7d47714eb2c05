"""Poison costs nothing but itself: the reason is the contract's, the dead letter whole, the neighbours are scored."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from settings import Settings
from tests.checkpoints import sample_images
from tests.consumer.conftest import PARTITIONS, running
from tests.consumer.test_worker import cloud_event, drained, servers, url
from tests.faults.poison import MAX_IMAGE_BYTES, POISONS
from tests.inference.pictures import encode, photo
from tests.kafka_tools import Header, publish, read_all, rows
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("engines")
GOOD = encode(photo(), "JPEG")
OURS = ("__dlq.", "streamscorer-")
Bad = tuple[bytes | None, list[Header]]


def small(count: int) -> list[tuple[bytes, list[Header]]]:
    """Good records, small ones."""
    return [(GOOD, cloud_event(f"good-{number}")) for number in range(count)]


async def test_every_poison_is_a_whole_dead_letter_with_its_reason_between_neighbours_that_are_scored(
    settings: Settings,
) -> None:
    image = sample_images()["temple.jpg"]
    largest = image + bytes(MAX_IMAGE_BYTES - len(image))
    extra = [("twice", b"1"), ("twice", b"\xff\0"), ("", b"")]
    sent: dict[tuple[int, int], str] = {}
    async with AIOKafkaProducer(bootstrap_servers=servers(settings), acks="all", max_request_size=2**25) as producer:
        for number, (name, poison) in enumerate(POISONS.items()):
            partition = number % PARTITIONS
            at = await producer.send_and_wait(
                settings.kafka_topic, poison.value, key=b"\xfe" + name.encode(), headers=[*poison.headers, *extra],
                partition=partition,
            )  # fmt: skip
            sent[at.partition, at.offset] = name
            await producer.send_and_wait(
                settings.kafka_topic, GOOD, headers=cloud_event(f"behind {name}"), partition=partition
            )
        await producer.send_and_wait(settings.kafka_topic, largest, headers=cloud_event("8 MB"), partition=0)
    async with running(settings) as scorer:
        await eventually(partial(drained, settings))
        assert scorer.count("scorer_records_total", outcome="tombstone") == 1
    scored = await rows(url(settings), "select event_id from scores")
    assert {row[0] for row in scored} == {*(f"behind {name}" for name in POISONS), "8 MB"}
    letters = await rows(url(settings), 'select partition, "offset", reason, message from dead_letters')
    expected = {at: POISONS[name].reason for at, name in sent.items() if POISONS[name].reason is not None}
    assert {(row[0], row[1]): row[2] for row in letters} == expected
    assert all(row[3] for row in letters)
    published = await read_all(servers(settings), settings.kafka_dlq_topic)
    assert len(published) == len(letters)
    for letter in published:
        told = dict(letter.headers)
        name = sent[int(told["__dlq.errors.partition"]), int(told["__dlq.errors.offset"])]
        poison = POISONS[name]
        theirs = [header for header in letter.headers if not header[0].startswith(OURS)]
        ours_in_it = [header for header in poison.headers if header[0].startswith(OURS)]
        assert (letter.key, letter.value) == (b"\xfe" + name.encode(), poison.value)
        assert theirs == [header for header in [*poison.headers, *extra] if header not in ours_in_it], name
        assert all(header in letter.headers for header in ours_in_it), name
        assert told["streamscorer-error-class"] == str(poison.reason).encode()


async def test_one_in_a_hundred_and_a_hundred_in_a_row_cost_no_neighbour(settings: Settings) -> None:
    kinds = [poison for poison in POISONS.values() if len(poison.value or b"") < MAX_IMAGE_BYTES]
    bad: list[Bad] = [(poison.value, poison.headers) for poison in kinds]
    good = small(300)
    sprinkled: list[Bad] = list(good[:200])
    sprinkled[50:50], sprinkled[150:150] = [bad[0]], [bad[1]]
    block = [bad[number % len(bad)] for number in range(100)]
    await publish(servers(settings), settings.kafka_topic, sprinkled)
    await publish(servers(settings), settings.kafka_topic, block, partition=1)
    await publish(servers(settings), settings.kafka_topic, good[200:], partition=1)
    async with running(settings):
        await eventually(partial(drained, settings))
    scored = await rows(url(settings), "select event_id from scores")
    assert Counter(row[0] for row in scored) == Counter(f"good-{number}" for number in range(300))
    expected = Counter(str(kinds[number % len(kinds)].reason) for number in (0, 1, *range(100)))
    del expected["None"]
    found = await rows(url(settings), "select reason, count(*) from dead_letters group by reason")
    assert {row[0]: row[1] for row in found} == expected
    assert len(await read_all(servers(settings), settings.kafka_dlq_topic)) == expected.total()


# A batch in the log: base offset 8, length 4, leader's epoch 4, magic 1, checksum 4 bytes; the rest is covered by it.
_LENGTH, _CHECKSUM, _COVERED, _HEADER = 8, 17, 21, 12
NO_CODEC = 7
NAME = b"no-utf-8-soon"


def bad_checksum(batch: bytearray) -> None:
    batch[-10] ^= 0xFF


def unknown_codec(batch: bytearray) -> None:
    batch[_COVERED + 1] |= NO_CODEC
    sign(batch)


def header_that_is_no_text(batch: bytearray) -> None:
    at = batch.index(NAME)
    batch[at : at + len(NAME)] = b"\xff" * len(NAME)
    sign(batch)


def sign(batch: bytearray) -> None:
    batch[_CHECKSUM:_COVERED] = calc_crc32c(bytes(batch[_COVERED:])).to_bytes(4, "big")


DAMAGES = (bad_checksum, unknown_codec, header_that_is_no_text)


@pytest.fixture
def broker_data(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the broker keeps its partitions: it serves what stands there, without a look at it."""
    found = list(tmp_path_factory.getbasetemp().glob("broker[0-9]*/kafka/data"))
    if not found:
        pytest.skip("the broker's files cannot be reached")
    return found[0]


def damage_batch(partition: Path, offset: int, number: int) -> None:
    """Damage the batch that begins at `offset`, as a bad disk or a foreign producer would."""
    (log,) = partition.glob("*.log")
    with log.open("r+b") as file:
        data = file.read()
        start = 0
        while int.from_bytes(data[start : start + _LENGTH], "big") != offset:
            start += _HEADER + int.from_bytes(data[start + _LENGTH : start + _HEADER], "big")
        end = start + _HEADER + int.from_bytes(data[start + _LENGTH : start + _HEADER], "big")
        batch = bytearray(data[start:end])
        DAMAGES[number](batch)
        file.seek(start)
        file.write(batch)


async def send_batch(settings: Settings, partition: int, records: Sequence[tuple[bytes, list[Header]]]) -> int:
    """One batch; its first offset."""
    async with AIOKafkaProducer(bootstrap_servers=servers(settings), acks="all") as producer:
        batch = producer.create_batch()
        for value, headers in records:
            assert batch.append(timestamp=None, key=None, value=value, headers=headers)
        sent = await (await producer.send_batch(batch, settings.kafka_topic, partition=partition))
    return int(sent.offset)


async def test_batches_that_kafka_cannot_hand_over_cost_their_own_records_only(
    settings: Settings, broker_data: Path
) -> None:
    good = small(12)
    lost: list[tuple[int, int]] = []
    for partition in range(PARTITIONS):
        mine = good[partition * 4 : partition * 4 + 4]
        await send_batch(settings, partition, mine[:2])
        for number in range(len(DAMAGES)):
            offset = await send_batch(settings, partition, [(b"v" * 64, [(NAME.decode(), b"")])] * 2)
            damage_batch(
                broker_data / f"{settings.kafka_topic}-{partition}", offset, (number + partition) % len(DAMAGES)
            )
            lost += [(partition, offset), (partition, offset + 1)]
        await send_batch(settings, partition, mine[2:])
    async with running(settings):
        await eventually(partial(drained, settings))
    scored = await rows(url(settings), "select event_id from scores")
    assert sorted(row[0] for row in scored) == sorted(f"good-{number}" for number in range(12))
    letters = await rows(url(settings), 'select partition, "offset", reason from dead_letters order by 1, 2')
    assert letters == [(partition, offset, "UnreadableRecord") for partition, offset in lost]
    assert len(await read_all(servers(settings), settings.kafka_dlq_topic)) == len(lost)
