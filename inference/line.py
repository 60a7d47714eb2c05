"""The line of images: first for a decode thread, then for the device; interactive ones apart from the stream's.

Everything is under one lock, held for a few steps at a time. Threads wait here and nowhere else.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from inference.works import Priority, Work

Queues = Mapping[Priority, deque[Work]]


class Line:
    """Interactive images are decoded as they come (their callers are bounded by Places), those of the stream only as
    far ahead as the device is about to take them: that bounds pixels in memory, and spreads decoding evenly beside the
    forward passes, which it slows down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._encoded: Queues = {"interactive": deque(), "stream": deque()}
        self._decoded: Queues = {"interactive": deque(), "stream": deque()}
        self._to_decode = {priority: threading.Condition(self._lock) for priority in self._encoded}
        self._to_run = threading.Condition(self._lock)
        self._decoding = 0
        self._ahead = 1
        self.over: Exception | None = None
        """What `close` was given."""

    def depth(self, priority: Priority) -> int:
        """Images that wait, encoded or decoded."""
        return len(self._encoded[priority]) + len(self._decoded[priority])

    def submit(self, works: Sequence[Work], priority: Priority) -> None:
        """Raises what `close` was given."""
        with self._lock:
            if self.over is not None:
                raise self.over
            self._encoded[priority].extend(works)
            self._to_decode[priority].notify(len(works))

    def take_encoded(self, priority: Priority) -> Work | None:
        """For a decode thread: the next work, waiting for it; None when the line is closed. `put_decoded` follows."""
        queue, turn = self._encoded[priority], self._to_decode[priority]
        with self._lock:
            while self.over is None:
                if queue and (priority == "interactive" or self._decoding + len(self._decoded["stream"]) < self._ahead):
                    self._decoding += priority == "stream"
                    return queue.popleft()
                turn.wait()
        return None

    def put_decoded(self, work: Work | None, taken_as: Priority) -> Exception | None:
        """The decode thread is done: with a work for the device, or with None where nothing is left to do.

        What `close` was given, when that came first: then the work goes nowhere.
        """
        with self._lock:
            self._decoding -= taken_as == "stream"
            if work is None or self.over is not None:
                return self.over
            self._decoded[work.priority].append(work)
            self._to_run.notify()
            return None

    def promote(self, work: Work) -> None:
        """Somebody who does not wait as long has joined a work of the stream."""
        with self._lock:
            if work.priority == "interactive":
                return
            work.priority = "interactive"
            if work in self._decoded["stream"]:
                self._decoded["stream"].remove(work)
                self._decoded["interactive"].append(work)
                self._to_decode["stream"].notify()

    def take_batch(self, pick: Callable[[Queues], tuple[list[Work], int]]) -> list[Work]:
        """For the device: what `pick` takes out of the queues, waiting for some; empty when the line is closed.

        `pick` also says how many images of the stream are to be decoded, or being decoded, by when it comes again.
        """
        with self._lock:
            while self.over is None:
                works, self._ahead = pick(self._decoded)
                self._to_decode["stream"].notify(self._ahead)
                if works:
                    return works
                if not any(self._decoded.values()):
                    self._to_run.wait()
        return []

    def take_requests(self, pick: Callable[[deque[Work]], list[Work]]) -> list[Work]:
        """For the device, in the midst of a batch: what `pick` takes out of the interactive queue, waiting for none."""
        with self._lock:
            return pick(self._decoded["interactive"])

    def drop_unwanted(self, priority: Priority, abandon: Callable[[Work], bool]) -> None:
        """A caller of this class left: images that nobody waits for any more go, unless `abandon` says no."""
        with self._lock:
            for queue in (self._encoded[priority], *self._decoded.values()):
                if not all(work.wanted for work in queue):
                    stay = [work for work in queue if work.wanted or not abandon(work)]
                    queue.clear()
                    queue.extend(stay)
            self._to_decode["stream"].notify_all()

    def close(self, reason: Exception) -> list[Work]:
        """Nothing goes in or out any more. What waited, once; the caller settles it."""
        with self._lock:
            if self.over is not None:
                return []
            self.over = reason
            left = [work for queue in (*self._decoded.values(), *self._encoded.values()) for work in queue]
            for queue in (*self._decoded.values(), *self._encoded.values()):
                queue.clear()
            for turn in (*self._to_decode.values(), self._to_run):
                turn.notify_all()
            return left
