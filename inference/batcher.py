"""The micro-batcher: the one thread that feeds the engine, and which images it takes next.

Work-conserving: when the device is free it takes what is there. Interactive images go first and among themselves.
Where the engine can pause a forward pass, they go through in the midst of a batch of the stream; where it cannot, those
are kept short while interactive callers are around, so that the next one does not wait long. Whatever the interactive
load, the stream gets a `short_batch_s` of the device for each `stream_wait_s` that it waits or stands still.
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

from errors import UsageError
from inference.cores import usable_cores
from inference.cost import Cost
from inference.isolation import Isolation, NotFinite, Outcomes
from inference.line import Line, Queues
from inference.policy import BatchPolicy
from inference.results import Results
from inference.threads import died, serving
from inference.works import Answer, Pass, Settled, Work
from telemetry import Metrics

ORIGIN = {"interactive": "http", "stream": "kafka"}
_EXPLORE_EACH = 8
"""Every so many full batches one is half as large: without a difference nobody can tell overhead from work."""
_BATCHES_AHEAD = 2


class BatcherBroken(BaseException):
    """A bug of ours while a pass was paused: not the fault of its batch, as an Exception out of the engine would be."""


class Batcher:
    """`running` while the core is open."""

    def __init__(
        self, isolation: Isolation, policy: BatchPolicy, line: Line, results: Results, metrics: Metrics
    ) -> None:
        self._isolation = isolation
        self._policy = policy
        self._line = line
        self._results = results
        self._metrics = metrics
        self._cost = Cost()
        self._decode_s = 0.0
        """Seconds an image with all decode threads at work."""
        self._decode_threads = usable_cores()
        self._passes: list[Pass] = []
        """The one that is computed is the last; those before it are paused."""
        self._stream_served = float("-inf")
        self._full = 0
        self.around: Callable[[float], bool] = lambda _: False
        """Whether interactive callers are around, now (time.perf_counter) or soon."""

    def running(self, ended: Callable[[BaseException | None], None]) -> AbstractAsyncContextManager[None]:
        """Warm the engine up and serve until the line is closed; what is in hand then is answered. `ended`: `serving`.

        Raises UsageError for a model that answers NaN.
        """

        def over(death: BaseException | None) -> None:
            if death is not None:
                reason = died("the device thread", death)
                self._results.finish([(work, reason) for hand in self._passes for work in hand.works])
            ended(death)

        return serving("device", 1, self._serve, over, self._warm_up)

    def wait_s(self, images: int) -> float:
        """Seconds until so many interactive images, from the next to come out, are answered."""
        left_s = 0.0
        for hand in self._passes[-1:]:
            whole_s = self._cost.seconds(len(hand.works))
            left_s = max(0.0, whole_s - hand.worked_s)
            if hand.yields:
                left_s = min(left_s, whole_s / (1 + self._isolation.engine.pauses))
        batches = -(-images // self._of_requests())
        device_s = batches * self._cost.overhead_s + images * self._cost.image_s
        if self._line.depth("stream") or any(hand.priority == "stream" for hand in self._passes[:]):
            # its turn comes in between
            device_s /= max(0.5, 1 - self._policy.short_batch_s / self._policy.stream_wait_s)
        return left_s + max(device_s, images * self._decode_s)

    # On the device thread.

    def _warm_up(self) -> None:
        """The first pass allocates and compiles; the second one is typical, and the estimate starts from it."""
        engine = self._isolation.engine
        try:
            self._isolation.check_probe()
        except NotFinite as error:
            raise UsageError(
                f"the model answers NaN on engine {engine.name}, precision {engine.precision}: "
                "choose another SCORER_PRECISION, or check SCORER_WEIGHTS"
            ) from error
        started = time.perf_counter()
        self._isolation.check_probe()
        self._cost.observe(1, time.perf_counter() - started)

    def _serve(self) -> None:
        while works := self._line.take_batch(self._pick):
            self._run(works)

    def _run(self, works: list[Work]) -> None:
        hand = Pass(works, works[0].priority, time.perf_counter())
        self._passes.append(hand)
        settled = self._settled(hand)
        self._passes.pop()
        self._results.finish(settled)

    def _pause(self, hand: Pass) -> None:
        """Interactive images go through in the midst of a batch of the stream."""
        try:
            while hand.yields and self._policy.may_pause(hand.worked_s, hand.paused_s):
                since = time.perf_counter()
                if not (works := self._line.take_requests(self._pick_requests)):
                    break
                self._run(works)
                hand.paused_s += time.perf_counter() - since
        except Exception as bug:
            raise BatcherBroken(repr(bug)) from bug

    def _settled(self, hand: Pass) -> list[Settled]:
        works, priority = hand.works, hand.priority
        trace_id = works[0].waiters[0].call.trace_id
        images = [work.pixels for work in works if work.pixels is not None]
        found = self._isolation.outcomes(images, trace_id, partial(self._pause, hand))
        outcomes = _outcomes(works, found, self._policy.top_k)
        took_s = hand.worked_s
        begun = hand.begun + hand.paused_s  # who stands still is waiting
        for work in works:
            work.pixels, work.begun_at, work.infer_s = None, begun, took_s
        scored = len(found.rows)
        if not found.failures:
            self._cost.observe(scored, took_s)
        decode_s = sum(work.decode_s for work in works) / len(works) / self._decode_threads
        self._decode_s += 0.1 * (decode_s - self._decode_s)
        self._metrics.queue_seconds.labels(priority).observe_all(
            [begun - work.waiters[0].since - work.decode_s for work in works]
        )
        self._metrics.decode_seconds.observe_all([work.decode_s for work in works])
        self._metrics.images.labels(ORIGIN[priority], self._isolation.engine.name).inc(scored)
        return list(zip(works, outcomes, strict=True))

    def _pick(self, decoded: Queues) -> tuple[list[Work], int]:
        """The next batch, all of one class; and how many images of the stream are to be decoded ahead."""
        now = time.perf_counter()
        queue = self._choose(decoded, now)
        around = self.around(now) and not self._isolation.engine.pauses
        of_stream = min(self._policy.of_stream(self._cost, around=around), self._isolation.fits)
        most = of_stream if queue is decoded["stream"] else self._of_requests()
        if len(queue) >= most > self._policy.few // 2:  # so small only beside callers, and theirs differ
            self._full += 1
            if self._full % _EXPLORE_EACH == 0:
                most = max(1, most // 2)
        return self._take(queue, most), _BATCHES_AHEAD * of_stream

    def _pick_requests(self, queue: deque[Work]) -> list[Work]:
        return self._take(queue, self._of_requests())

    def _take(self, queue: deque[Work], most: int) -> list[Work]:
        works: list[Work] = []
        while queue and len(works) < most:
            work = queue.popleft()
            if work.wanted or not self._results.abandon(work):
                works.append(work)
        return works

    def _of_requests(self) -> int:
        return min(self._policy.of_requests(self._cost), self._isolation.fits)

    def _choose(self, decoded: Queues, now: float) -> deque[Work]:
        interactive, stream = decoded["interactive"], decoded["stream"]
        if not stream:
            return interactive
        waited_s = now - max(stream[0].decoded_at, self._stream_served)
        if interactive and waited_s < self._policy.stream_wait_s:
            return interactive
        self._stream_served = now
        return stream


def _outcomes(works: list[Work], found: Outcomes, top_k: int) -> list[Answer | Exception]:
    """One for each work. The best classes are looked up for the whole batch at once."""
    failures = found.failures
    if len(failures) == len(works):
        return [failures[place] for place in range(len(works))]
    best = found.rows.topk(min(top_k, found.rows.shape[1]))
    rows = zip(found.rows.numpy(), best.indices.tolist(), best.values.tolist(), strict=True)
    outcomes: list[Answer | Exception] = []
    for place, work in enumerate(works):
        if place in failures:
            outcomes.append(failures[place])
        else:
            row, classes, probabilities = next(rows)
            assert work.facts is not None
            outcomes.append(Answer(work.facts, row.tobytes(), classes, probabilities))
    return outcomes
