"""Fixtures of the fault tests: the in-process worker over a cheap engine, and what it says while it is in trouble."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest
import structlog
from torch import Tensor

from api.app import create_health_app
from inference.core import InferenceCore
from settings import InferenceSettings
from telemetry import Metrics
from tests.consumer import conftest as consumer
from tests.consumer.conftest import Running, settings
from tests.fake_core import open_fake_core
from tests.waiting import eventually

__all__ = ["settings"]


class Engines:
    """The engines of this test's workers: real decoding and batching, answers from mean colours."""

    def __init__(self) -> None:
        self.before: Callable[[Tensor], None] | None = None
        """Sees each batch ahead of its answer, in the engine's thread; may block or raise."""

    def open_core(self, settings: InferenceSettings, metrics: Metrics) -> AbstractAsyncContextManager[InferenceCore]:
        """In the place of the room's own. Without a cache, since these tests count and hold what the engine sees."""
        return open_fake_core(settings.model_copy(update={"cache_entries": 0}), metrics, self._before)

    def _before(self, batch: Tensor) -> None:
        if self.before is not None:
            self.before(batch)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Engines:
    """From now on `running` opens a cheap engine, one a worker."""
    made = Engines()
    monkeypatch.setattr(consumer, "open_core", made.open_core)
    return made


class Trouble:
    """What a worker has said, to the log and to who asks whether it is ready, since the block began."""

    def __init__(self, scorer: Running, said: list[structlog.typing.EventDict]) -> None:
        self._scorer = scorer
        self._said = said

    def lines(self, event: str) -> list[structlog.typing.EventDict]:
        """Log lines `event`, oldest first."""
        return [line for line in self._said if line["event"] == event]

    async def began(self, part: str, words: str = "", *, within_s: float = 30.0) -> None:
        """Wait until the worker waits for `part`; then metric, readiness and log must all say so, and why."""
        await eventually(
            lambda: self._scorer.count("scorer_paused", reason=part), f"no pause for {part}", within_s=within_s
        )
        answer = await self._ready()
        assert answer.status_code == 503
        reason = answer.json()["checks"]["consumer"]["reason"]
        assert part in reason
        assert words in reason

    async def ended(self, part: str) -> None:
        """Wait until nothing is waited for; it was said once that it began, and once that it ended."""
        await eventually(lambda: not self._scorer.count("scorer_paused", reason=part), f"still waits for {part}")
        assert (await self._ready()).status_code == 200
        assert [line["part"] for line in self.lines("waiting")] == [part]
        assert [line["part"] for line in self.lines("going on")] == [part]

    async def _ready(self) -> httpx.Response:
        """As the role `consumer` answers /readyz, but for the dependencies' own checks."""
        app = create_health_app({"consumer": self._scorer.worker.trouble}, self._scorer.metrics)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://scorer") as client:
            return await client.get("/readyz")


@asynccontextmanager
async def watched(scorer: Running) -> AsyncIterator[Trouble]:
    """Listen to what the worker says."""
    with structlog.testing.capture_logs() as said:
        yield Trouble(scorer, said)
