"""What becomes of an image reaches everybody who waits for it: from the threads to the callers on the event loop."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence

from errors import Invalid, Overloaded
from inference.line import Line
from inference.result_cache import ResultCache
from inference.works import Answer, Settled, Waiter, Work
from schemas.predictions import ModelInfo, Prediction, Timings
from telemetry import Metrics

_AT_ONCE = 512
"""Images whose callers are told in one step of the event loop, a few milliseconds."""


class Results:
    """Made on the event loop of the callers; `claim` and `finish` may be called from any thread."""

    def __init__(self, info: ModelInfo, cache: ResultCache, line: Line, metrics: Metrics) -> None:
        self._info = info
        self._cache = cache
        self._line = line
        self._metrics = metrics
        self._hits, self._joined, self._misses = (
            metrics.result_cache.labels(result) for result in ("hit", "coalesced", "miss")
        )
        self._loop = asyncio.get_running_loop()
        self._settled: deque[tuple[Work, Answer | Exception, bool]] = deque()
        self._called = False

    def claim(self, work: Work, digest: str) -> bool:
        """Whether `work` has to be done; else its callers are served from the cache, or by another work under way."""
        found = self._cache.claim(work, digest)
        if found is None:
            self._misses.inc()
            return True
        if isinstance(found, Work):
            self._joined.inc()
            if work.priority == "interactive":
                self._line.promote(found)
        else:
            self._hits.inc()
            self._tell([(work, found, True)])
        return False

    def abandon(self, work: Work) -> bool:
        """Give up a work that nobody wants; False when somebody has joined it meanwhile."""
        return self._cache.abandon(work)

    def finish(self, settled: Sequence[Settled]) -> None:
        """Tell all who wait for these works, and keep the answers."""
        told = [(work, outcome, False) for work, outcome in settled]
        self._cache.settle(settled)
        self._tell(told)

    def _tell(self, told: list[tuple[Work, Answer | Exception, bool]]) -> None:
        self._settled.extend(told)
        if not self._called:  # one call of the event loop serves all that is settled until it runs
            self._called = True
            self._loop.call_soon_threadsafe(self._deliver)

    # On the event loop.

    def _deliver(self) -> None:
        self._called = False
        now = time.perf_counter()
        probabilities: list[float] = []
        for _ in range(_AT_ONCE):
            if not self._settled:
                break
            work, outcome, cached = self._settled.popleft()
            for number, waiter in enumerate(work.waiters):
                call = waiter.call
                if call.over.done():
                    continue
                if isinstance(outcome, Answer):
                    timings = _from_cache(waiter, now) if cached else _timings(work, waiter, now, led=not number)
                    call.outcomes[waiter.place] = self._prediction(outcome, call.top_k, timings, cached=cached)
                    probabilities.append(outcome.values[0])
                elif isinstance(outcome, Invalid):
                    self._metrics.refused.labels(outcome.reason).inc()
                    call.outcomes[waiter.place] = outcome
                else:
                    if isinstance(outcome, Overloaded):
                        self._metrics.refused.labels("stopping").inc()
                    call.over.set_exception(outcome)
                    continue
                call.left -= 1
                if not call.left:
                    call.over.set_result(None)
        self._metrics.top1.observe_all(probabilities)
        if self._settled and not self._called:
            self._called = True
            self._loop.call_soon(self._deliver)

    def _prediction(self, answer: Answer, top_k: int, timings: Timings, *, cached: bool) -> Prediction:
        info = self._info
        top = answer.top(top_k, info.labels)
        best = top[0]
        return Prediction(
            predicted_class=best.class_id,
            label=best.label,
            probability=best.probability,
            top=top,
            model_version=info.model_version,
            engine=info.engine,
            precision=info.precision,
            image=answer.facts,
            cached=cached,
            timings_ms=timings,
        )


def _timings(work: Work, waiter: Waiter, now: float, *, led: bool) -> Timings:
    """`queue` is all the waiting: for a decode thread, for the device, and for the work of whom one has joined."""
    ended = work.begun_at + work.infer_s
    waited_s = max(0.0, ended - waiter.since)
    decode_s = work.decode_s if led else 0.0
    infer_s = min(work.infer_s, waited_s)
    queue_s = max(0.0, waited_s - decode_s - infer_s)
    return Timings(_ms(decode_s), _ms(queue_s), _ms(infer_s), _ms(now - waiter.since))


def _from_cache(waiter: Waiter, now: float) -> Timings:
    total_s = now - waiter.since
    return Timings(decode=0.0, queue=_ms(total_s), infer=0.0, total=_ms(total_s))


def _ms(seconds: float) -> float:
    return int(seconds * 1e6) / 1000
