"""One of several processes, by Kafka's choice: who leads a group that consumes nothing."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from aiokafka import errors as kafka
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest

from broker.clients import open_client
from broker.failures import kafka_failures
from errors import BrokerUnavailable
from settings import KafkaSettings
from telemetry import logger

log = logger("broker")
Ask = Callable[[Any], Awaitable[Any]]

_A_GROUP: Final = 0
_PROTOCOL_TYPE: Final = "election"
"""Not "consumer": tools that list consumer groups leave it out."""
_DYNAMIC: Final[Any] = None
"""No static member: each start is another one."""
_NOBODY: Final = ""
_NEVER: Final = -math.inf
_LEAVE_S: Final = 2.0
_REFUSED_AGAIN_S: Final = 30.0


class Election:
    """Of all that `stand` in the same group at most one has `won` at any time, and one of them has, while Kafka works.

    A group's coordinator names one member its leader, keeps it while others come and go, and replaces it only when it
    leaves, or when it has been silent for the session timeout. Its own count of that time begins a little earlier, when
    it sends what is answered: so it has given up before another is named. (Confluent's Schema Registry chooses the one
    that writes in the same way.)
    """

    def __init__(self, settings: KafkaSettings, group_id: str, able: asyncio.Event) -> None:
        """`able`: only while it is set we stand."""
        self._settings = settings
        self._group_id = group_id
        self._able = able
        self._session_s = settings.kafka_session_timeout_s
        self._member_id = _NOBODY
        self._won_until = _NEVER
        self.refused = False
        """Kafka does not let us stand: nobody chooses."""

    @property
    def won(self) -> bool:
        """It is us."""
        return time.monotonic() < self._won_until

    async def stand(self) -> None:
        """Until cancelled, which gives it up. Raises UsageError for settings that cannot work."""
        # A join is answered when everybody has joined again, or when the time for that is over.
        timeout_s = 2 * self._session_s
        while True:
            await self._able.wait()
            try:
                async with open_client(self._settings, timeout_s=timeout_s) as client:
                    with kafka_failures(self._settings):
                        await self._take_part(client)
            except BrokerUnavailable:
                pass  # who has made us able asks the same Kafka, and says so
            except kafka.KafkaError as refusal:
                self._refuse(refusal)
                await asyncio.sleep(_REFUSED_AGAIN_S)
            else:
                continue
            await asyncio.sleep(self._session_s / 4)

    async def _take_part(self, client: AIOKafkaClient) -> None:
        ask = partial(client.send, await client.coordinator_lookup(_A_GROUP, self._group_id))
        try:
            while self._able.is_set():
                try:
                    generation, leads = await self._join(ask)
                    self.refused = False
                    if not leads:
                        self._won_until = _NEVER
                    await self._keep(ask, generation, leads=leads)
                except kafka.RebalanceInProgressError:
                    continue  # somebody comes or has left; whoever leads goes on, if it joins again in time
                except (kafka.UnknownMemberIdError, kafka.IllegalGenerationError):
                    self._member_id, self._won_until = _NOBODY, _NEVER
        finally:
            if self.won:
                log.info("no longer elected", group=self._group_id)
            self._won_until = _NEVER
            await self._leave(ask)

    async def _join(self, ask: Ask) -> tuple[int, bool]:
        """The group's new generation, and whether we lead it."""
        session_ms = int(self._session_s * 1000)
        while True:
            joined = await ask(
                JoinGroupRequest(
                    self._group_id, session_ms, session_ms, self._member_id, _DYNAMIC, _PROTOCOL_TYPE, [("leader", b"")]
                )
            )
            if joined.error_code != kafka.MemberIdRequired.errno:
                break
            self._member_id = joined.member_id
        _check(joined)
        self._member_id = joined.member_id
        # The leader hands out what there is: nothing. Until it has, nobody's heartbeats count.
        _check(await ask(SyncGroupRequest(self._group_id, joined.generation_id, self._member_id, _DYNAMIC, [])))
        return joined.generation_id, joined.leader_id == joined.member_id

    async def _keep(self, ask: Ask, generation: int, *, leads: bool) -> None:
        while self._able.is_set():
            sent = time.monotonic()
            _check(await ask(HeartbeatRequest(self._group_id, generation, self._member_id)))
            if leads:
                if not self.won:
                    log.info("elected", group=self._group_id)
                self._won_until = sent + self._session_s
            await asyncio.sleep(self._session_s / 4)

    async def _leave(self, ask: Ask) -> None:
        """So that the others need not wait for the session timeout."""
        member_id, self._member_id = self._member_id, _NOBODY
        if member_id:
            with suppress(kafka.KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(_LEAVE_S):
                    await ask(LeaveGroupRequest(self._group_id, member_id))

    def _refuse(self, refusal: kafka.KafkaError) -> None:
        if not self.refused:
            why = f"{type(refusal).__name__}: it needs the operation READ on that group"
            log.warning("cannot be elected", group=self._group_id, why=why)
        self.refused = True


def _check(answer: Any) -> None:
    if answer.error_code:
        raise kafka.for_code(answer.error_code)
