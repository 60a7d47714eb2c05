"""How batches are formed, and how long requests and the stream may hold each other up."""

from dataclasses import dataclass

from inference.cost import Cost


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How batches are formed."""

    max_batch: int = 32
    top_k: int = 5
    """Classes that are looked up for each image of a batch at once; more are, one by one, when somebody asks."""
    few: int = 8
    """No batch beside interactive callers is larger than that, unless larger ones give notably more images a second."""
    short_batch_s: float = 0.2
    """What a batch of the stream may take while interactive callers are around."""
    long_batch_s: float = 1.0
    """What it may take else: one of them may come at any time."""
    stream_wait_s: float = 1.0
    """How long interactive batches may hold up the stream: before a batch, and in its midst for each short batch."""

    def of_requests(self, cost: Cost) -> int:
        """Images in a batch of interactive ones: as many as notably raise the throughput."""
        return min(max(cost.useful(), self.few), self.max_batch)

    def of_stream(self, cost: Cost, *, around: bool) -> int:
        """Images in a batch of the stream. `around`: interactive callers are."""
        if around:
            return min(self.of_requests(cost), cost.within(self.short_batch_s))
        return min(self.max_batch, cost.within(self.long_batch_s))

    def may_pause(self, worked_s: float, paused_s: float) -> bool:
        """Whether a pass of the stream, of such a past, may stand still for interactive images.

        What seems longer than a batch may take was no work: the machine slept.
        """
        return paused_s < self.stream_wait_s * (1 + min(worked_s, self.long_batch_s) / self.short_batch_s)
