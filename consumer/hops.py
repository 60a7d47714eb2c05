"""Hops 2 to 6, one method each: decode, skip, score, publish, write."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from broker.publisher import Position, Publisher
from consumer import handover
from consumer.items import Batch, Item
from consumer.limit import DeadLetterLimit
from consumer.outgoing import dead_letter_headers, lighter_letters, score_headers
from consumer.waits import Waits
from errors import Invalid, InvalidEvent
from schemas.envelope import decode_event
from schemas.predictions import ModelInfo, Prediction
from schemas.records import Headers
from schemas.scores import KafkaPosition
from settings import ConsumerSettings
from sources.fetcher import SourceFetcher
from store.store import Store
from telemetry import Hop, Metrics, logger

if TYPE_CHECKING:
    from tracing.spans import Tracing

log = logger("consumer")


class Core(Protocol):
    """What the consumer asks of an InferenceCore."""

    info: ModelInfo

    async def score_all(
        self, images: Sequence[bytes], digests: Sequence[str | None] | None = None
    ) -> list[Prediction | Invalid]:
        """One outcome for each image, in order. `digests`: their SHA-256, as far as they are known."""

    def trouble(self) -> str | None:
        """Why nothing can be scored, or None."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The rooms that a consumer works with."""

    core: Core
    store: Store
    publisher: Publisher
    fetcher: SourceFetcher
    metrics: Metrics
    tracing: "Tracing | None" = None


class Hops:
    """What happens to a batch between the poll (1) and the commit (7).

    2. `decode` the envelopes. 3. `skip` what is decided already. 4. `score` the rest. 5. `publish` dead letters and
    scores. 6. `write` both in one transaction. 5 and 6 are `settle`: a conflict that only the transaction can see goes
    through them again as a dead letter. Trouble of store or broker is waited out; nothing is dropped. Where the limit
    on dead letters is reached, `settle` raises SafetyLimit; what is not decided then is delivered again.
    """

    def __init__(self, settings: ConsumerSettings, parts: Parts, waits: Waits, limit: DeadLetterLimit) -> None:
        self._settings = settings
        self._parts = parts
        self._waits = waits
        self._limit = limit

    # 2
    async def decode(self, batch: Batch) -> None:
        """Envelopes to events. Off the event loop: base64 and digests of megabytes would stop the heartbeats."""
        with self._timed("decode", batch):
            await asyncio.to_thread(self._decode, batch.items)

    def _decode(self, items: list[Item]) -> None:
        for item in items:
            if item.refusal is not None:
                continue
            if item.record.value is None:
                item.outcome = "tombstone"
                continue
            try:
                item.event = decode_event(item.record, self._settings.id_fallback)
            except InvalidEvent as refusal:
                item.refusal = refusal
                continue
            item.digest = item.event.digest()
            if isinstance(item.event.image, bytes):
                item.image = item.event.image

    # 3
    async def skip(self, batch: Batch) -> None:
        """One question to the store: which of these records, or of these identities, are decided already?"""
        items = batch.open()
        if not items:
            return
        asked = [handover.asked(item) for item in items]
        with self._timed("skip", batch):
            decisions = await self._waits.until_works(
                "store", lambda: self._parts.store.decided(asked, self._parts.core.info.model_version)
            )
        for item, decision in zip(items, decisions, strict=True):
            if decision == "conflict":
                item.refusal = handover.conflict(item)
            elif decision is not None:
                item.outcome = decision

    # 4
    async def score(self, batch: Batch) -> None:
        """Through the shared core, all at once; a bad image fails alone."""
        items = [item for item in batch.open() if item.refusal is None]
        images = [item.image for item in items if item.image is not None]
        assert len(images) == len(items)
        with self._timed("score", batch):
            outcomes = await self._parts.core.score_all(images, [item.content_digest for item in items])
        for item, outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, Invalid):
                item.refusal = outcome
            else:
                item.prediction = outcome

    async def settle(self, batch: Batch) -> None:
        """Hops 5 and 6 until every record has its outcome."""
        while items := batch.open():
            items = items[: await self._limit.admit([item.refusal for item in items])]
            with self._timed("publish", batch):
                await self.publish(items)
            with self._timed("write", batch):
                await self.write(items)

    # 5
    async def publish(self, items: list[Item]) -> None:
        """Dead letters, and scores where a topic is set, before the rows: at least once, with ids to deduplicate by."""
        topic = self._settings.kafka_scores_topic
        async with asyncio.TaskGroup() as sends:
            for item in items:
                if item.refusal is not None:
                    sends.create_task(self._publish_dead_letter(item, item.refusal))
                elif topic is not None:
                    sends.create_task(self._publish_score(topic, item))

    async def _publish_dead_letter(self, item: Item, refusal: Invalid) -> None:
        record, topic, group = item.record, self._settings.kafka_dlq_topic, self._settings.kafka_group_id
        lighter = iter(lighter_letters(record))
        letter = record
        while True:
            headers = dead_letter_headers(letter, item.refusal or refusal, group)
            try:
                sent = await self._send(topic, letter.key, letter.value, headers)
            except InvalidEvent as too_large:
                lacks, letter = next(lighter, (None, letter))
                if lacks is None:
                    raise
                log.warning("dead letter is incomplete", at=str(record.at), lacks=lacks, why=str(too_large))
                item.refusal = type(refusal)(f"{refusal} (not on the topic: its {lacks}; {too_large})")
            else:
                item.dead_letter_at = KafkaPosition(topic=sent.topic, partition=sent.partition, offset=sent.offset)
                return

    async def _send(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> Position:
        publisher = self._parts.publisher
        return await self._waits.until_works(
            "broker", lambda: publisher.publish(topic, key=key, value=value, headers=headers)
        )

    async def _publish_score(self, topic: str, item: Item) -> None:
        assert item.event is not None
        score = handover.score(item)
        value, headers = score.model_dump_json().encode(), score_headers(score, item.event)
        try:
            await self._send(topic, item.record.key, value, headers)
        except InvalidEvent as too_large:
            log.warning("score goes without the record's key", at=str(item.record.at), why=str(too_large))
            await self._send(topic, None, value, headers)

    # 6
    async def write(self, items: list[Item]) -> None:
        """One transaction. Where another copy of the same event was faster, this one is a duplicate or a conflict."""
        scored = [item for item in items if item.refusal is None]
        refused = [item for item in items if item.refusal is not None]
        scores = [handover.new_score(item) for item in scored]
        dead_letters = [handover.dead_letter(item) for item in refused]
        version = self._parts.core.info.model_version
        written = await self._waits.until_works(
            "store", lambda: self._parts.store.write(scores, dead_letters, model_version=version)
        )
        for item, outcome in zip(scored, written.outcomes, strict=True):
            if outcome == "conflict":
                item.prediction, item.refusal = None, handover.conflict(item)
            else:
                item.outcome = outcome
        for item, fate in zip(refused, written.dead_letters, strict=True):
            item.outcome = fate

    @contextmanager
    def _timed(self, hop: Hop, batch: Batch) -> Iterator[None]:
        began_ns = time.time_ns()
        with self._parts.metrics.batch_seconds.labels(hop=hop).time():
            yield
        batch.hops.append((hop, began_ns, time.time_ns()))
