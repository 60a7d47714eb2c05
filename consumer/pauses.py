"""The operator's pause: while it holds nothing new is polled, and what is in flight is finished."""

import asyncio

from consumer.waits import Waits
from errors import StoreUnavailable
from settings import KafkaSettings
from store.groups import Group, Pause
from store.store import Store

LOOK_EVERY_S = 2.0


class Pauses:
    """Whether the group is paused, looked up in the store every two seconds.

    It holds for each member, also for one that starts later. While the store is away what was seen last goes on.
    """

    def __init__(self, settings: KafkaSettings, store: Store, cluster_id: str, waits: Waits) -> None:
        self._group = Group(cluster_id, settings.kafka_topic, settings.kafka_group_id)
        self._store = store
        self._waits = waits
        self.pause: Pause | None = None
        """While there is one nothing new may be polled."""

    async def before_start(self) -> None:
        """The first look, which waits for the store: a member that starts in a pause polls nothing at all."""
        self._see(await self._waits.until_works("store", lambda: self._store.paused(self._group)))

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                self._see(await self._store.paused(self._group))
            except StoreUnavailable:
                continue  # whoever has something to write says so

    def _see(self, pause: Pause | None) -> None:
        if pause == self.pause:
            return
        self.pause = pause
        self._waits.end("operator", who="pause")
        if pause is not None:
            self._waits.begin("operator", str(pause), who="pause", since=pause.at, meant=True)
