"""Answers by content, the latest used ones, and which contents are being worked on: the same bytes cost one inference.

Errors are not kept: bad bytes fail fast, and what an engine refused may have been the engine's bad moment.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from inference.works import Answer, Settled, Work


class ResultCache:
    """Shared by all threads of a core. An answer takes about 4 KB for each 1,000 classes."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._leaders: dict[str, Work] = {}

    def claim(self, work: Work, digest: str) -> Answer | Work | None:
        """What is there for these bytes: the answer; or the work under way that those who wait for `work` have joined.

        None: `work` leads, and `settle` or `abandon` must follow.
        """
        with self._lock:
            if (answer := self._answers.get(digest)) is not None:
                self._answers.move_to_end(digest)
                return answer
            if (leader := self._leaders.get(digest)) is not None:
                leader.waiters += work.waiters
                return leader
            self._leaders[digest] = work
            return None

    def settle(self, settled: Sequence[Settled]) -> None:
        """Nobody can join these works from now on; their answers are kept."""
        with self._lock:
            for work, outcome in settled:
                if self._step_down(work) and isinstance(outcome, Answer):
                    assert work.digest is not None
                    self._answers[work.digest] = outcome
            while len(self._answers) > self._entries:
                self._answers.popitem(last=False)

    def abandon(self, work: Work) -> bool:
        """Give `work` up because nobody wants it; False when somebody has joined it meanwhile."""
        with self._lock:
            if work.wanted:
                return False
            self._step_down(work)
            return True

    def _step_down(self, work: Work) -> bool:
        """Whether `work` was the one that others join."""
        if work.digest is None or self._leaders.get(work.digest) is not work:
            return False
        del self._leaders[work.digest]
        return True
