"""Of all that stand at most one has won, whoever comes or goes; and one of them has."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from broker.election import Election
from settings import KafkaSettings
from tests.waiting import eventually


class Candidate:
    """One that stands until it leaves."""

    def __init__(self, settings: KafkaSettings, group_id: str) -> None:
        self.able = asyncio.Event()
        self.able.set()
        self.election = Election(settings, group_id, self.able)
        self.standing = asyncio.create_task(self.election.stand())

    async def leave(self) -> None:
        self.standing.cancel()
        await asyncio.wait([self.standing])


Enter = Callable[[float], Candidate]


@pytest.fixture
async def enter(kafka: str) -> AsyncIterator[Enter]:
    group_id = f"e-{uuid.uuid4().hex[:12]}.monitor"
    async with AsyncExitStack() as leaving:

        def made(session_s: float) -> Candidate:
            settings = KafkaSettings(kafka_bootstrap_servers=kafka, kafka_session_timeout_s=session_s)
            candidate = Candidate(settings, group_id)
            leaving.push_async_callback(candidate.leave)
            return candidate

        yield made


def winners(*candidates: Candidate) -> list[Candidate]:
    found = [candidate for candidate in candidates if candidate.election.won]
    assert len(found) < 2
    return found


async def test_who_has_won_keeps_it_while_others_come_and_go(enter: Enter) -> None:
    first = enter(1.0)
    await eventually(lambda: first.election.won)
    second, third = enter(1.0), enter(1.0)
    settled = time.monotonic() + 1.0
    await eventually(lambda: winners(first, second, third) == [first] and time.monotonic() > settled)
    await second.leave()
    settled = time.monotonic() + 1.0
    await eventually(lambda: winners(first, third) == [first] and time.monotonic() > settled)


async def test_another_takes_over_at_once_from_who_leaves_and_from_who_is_not_able(enter: Enter) -> None:
    session_s = 6.0
    first = enter(session_s)
    await eventually(lambda: first.election.won)
    second = enter(session_s)
    await eventually(lambda: second.election._member_id)
    await first.leave()
    await eventually(lambda: winners(first, second) == [second], within_s=session_s - 1)
    third = enter(session_s)
    await eventually(lambda: third.election._member_id)
    second.able.clear()
    await eventually(lambda: winners(second, third) == [third], within_s=session_s - 1)


async def test_without_kafka_nobody_wins_and_nobody_gives_up() -> None:
    nowhere = KafkaSettings(kafka_bootstrap_servers="127.0.0.1:1", kafka_session_timeout_s=0.1)
    candidate = Candidate(nowhere, "nowhere.monitor")
    await asyncio.wait([candidate.standing], timeout=0.5)
    assert not candidate.standing.done()
    assert not candidate.election.won
    assert not candidate.election.refused
    await candidate.leave()
