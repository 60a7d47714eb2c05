"""The same event from two sides at once: one row, whoever is faster; another content under its id: one Conflict."""

import threading
from collections import Counter
from collections.abc import Sequence
from functools import partial

from torch import Tensor

from settings import Settings
from tests.consumer.conftest import PARTITIONS, Running, running
from tests.consumer.test_worker import cloud_event, drained, servers, url
from tests.faults.conftest import Engines
from tests.inference.pictures import encode, photo
from tests.kafka_tools import publish, read_all, rows
from tests.waiting import eventually

EVENTS = 20
MEET_S = 10.0
ONE, OTHER = encode(photo(), "JPEG"), encode(photo().rotate(180), "JPEG")
SCORE_AND_DEAD_LETTER = """
select 1 from scores s join dead_letters d
on (d.topic, d.partition, d."offset") = (s.kafka_topic, s.kafka_partition, s.kafka_offset)
"""
CONFLICTS = "select reason, count(*), count(distinct event_id) from dead_letters group by 1"


def meet(engines: Engines, parties: int) -> None:
    """The engines of so many workers wait for each other with their first batch: by then all have asked the store."""
    barrier = threading.Barrier(parties, timeout=MEET_S)
    met: set[int] = set()

    def before(batch: Tensor) -> None:
        if threading.get_ident() not in met:  # each engine has its thread
            met.add(threading.get_ident())
            barrier.wait()

    engines.before = before


async def shared_out(workers: Sequence[Running]) -> None:
    """Every worker has a partition, and all have one together."""

    def done() -> bool:
        counts = [len(scorer.worker._assignment.lanes) for scorer in workers]
        return all(counts) and sum(counts) == PARTITIONS

    await eventually(done, "all partitions are assigned")


def outcomes(*workers: Running) -> dict[str, float]:
    """Records decided by all of them, by outcome."""
    names = ("scored", "duplicate", "redelivered", "dead_lettered")
    return {name: sum(scorer.count("scorer_records_total", outcome=name) for scorer in workers) for name in names}


async def test_two_consumers_that_score_the_same_events_at_once_write_one_row_each(
    settings: Settings, engines: Engines
) -> None:
    async with running(settings) as first, running(settings) as second:
        await shared_out([first, second])
        meet(engines, 2)
        for partition in range(PARTITIONS):
            records = [(ONE, cloud_event(f"{number}")) for number in range(EVENTS)]
            await publish(servers(settings), settings.kafka_topic, records, partition=partition)
        await eventually(partial(drained, settings))
        assert outcomes(first, second) == {
            "scored": EVENTS, "duplicate": (PARTITIONS - 1) * EVENTS, "redelivered": 0, "dead_lettered": 0,
        }  # fmt: skip
        images = sum(
            scorer.count("scorer_inference_images_total", origin="kafka", engine="fake") for scorer in (first, second)
        )
        assert images > EVENTS, "they did not meet: nothing was scored twice"
    assert await rows(url(settings), "select count(*), count(distinct event_id) from scores") == [(EVENTS, EVENTS)]


async def test_two_consumers_with_other_contents_under_the_same_ids_leave_one_score_and_one_conflict_each(
    settings: Settings, engines: Engines
) -> None:
    async with running(settings) as first, running(settings) as second:
        await shared_out([first, second])
        mine = next(iter(first.worker._assignment.lanes)).partition
        theirs = next(iter(second.worker._assignment.lanes)).partition
        meet(engines, 2)
        for partition, image in ((mine, ONE), (theirs, OTHER)):
            records = [(image, cloud_event(f"{number}")) for number in range(EVENTS)]
            await publish(servers(settings), settings.kafka_topic, records, partition=partition)
        await eventually(partial(drained, settings))
    assert await rows(url(settings), "select count(*), count(distinct event_id) from scores") == [(EVENTS, EVENTS)]
    assert await rows(url(settings), CONFLICTS) == [("Conflict", EVENTS, EVENTS)]
    assert await rows(url(settings), SCORE_AND_DEAD_LETTER) == []
    assert len(await read_all(servers(settings), settings.kafka_dlq_topic)) == EVENTS


async def test_two_groups_over_one_store_decide_each_record_once(settings: Settings, engines: Engines) -> None:
    other = settings.model_copy(update={"kafka_group_id": f"{settings.kafka_group_id}-other"})
    good = [(ONE, cloud_event(f"{number}")) for number in range(EVENTS)]
    conflicts = [(OTHER, cloud_event(f"{number}")) for number in range(0, EVENTS, 2)]
    again = [(ONE, cloud_event(f"{number}")) for number in range(1, EVENTS, 2)]
    poison = [(b"no picture", cloud_event(f"bad-{number}")) for number in range(5)]
    async with running(settings) as first, running(other) as second:
        await shared_out([first])
        await shared_out([second])
        meet(engines, 2)
        for partition, records in enumerate((good, [*conflicts, *again], poison)):
            await publish(servers(settings), settings.kafka_topic, records, partition=partition)
        await eventually(partial(drained, settings))
        await eventually(partial(drained, other))
        images = [
            scorer.count("scorer_inference_images_total", origin="kafka", engine="fake") for scorer in (first, second)
        ]
        assert all(images), "one of them did nothing"
    assert await rows(url(settings), "select count(*), count(distinct event_id) from scores") == [(EVENTS, EVENTS)]
    letters = await rows(url(settings), "select reason, event_id from dead_letters")
    assert Counter(row[0] for row in letters) == {"Conflict": len(conflicts), "InvalidImage": len(poison)}
    assert {row[1] for row in letters if row[0] == "Conflict"} == {f"{number}" for number in range(0, EVENTS, 2)}
    assert await rows(url(settings), SCORE_AND_DEAD_LETTER) == []
    published = await read_all(servers(settings), settings.kafka_dlq_topic)
    assert len({dict(letter.headers)["streamscorer-origin"] for letter in published}) == len(letters)


async def test_copies_within_a_batch_and_in_the_next_one_are_one_row_and_one_conflict(
    settings: Settings, engines: Engines
) -> None:
    copies = [(ONE, cloud_event("7")), (ONE, cloud_event("7")), (OTHER, cloud_event("7")), (ONE, cloud_event("7"))]
    await publish(servers(settings), settings.kafka_topic, copies, partition=0)
    async with running(settings) as scorer:
        await eventually(partial(drained, settings))
        await publish(servers(settings), settings.kafka_topic, [(ONE, cloud_event("7"))] * PARTITIONS)
        await eventually(partial(drained, settings))
        assert outcomes(scorer) == {
            "scored": 1, "duplicate": 2 + PARTITIONS, "redelivered": 0, "dead_lettered": 1,
        }  # fmt: skip
    assert await rows(url(settings), "select kafka_partition, kafka_offset from scores") == [(0, 0)]
    assert await rows(url(settings), 'select "offset", reason from dead_letters') == [(2, "Conflict")]
