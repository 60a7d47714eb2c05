"""What a forward pass costs, from those that were: seconds = overhead + images x seconds an image."""

from inference.engine import ANY_NUMBER

_KEPT = 0.97
"""Weight that an observation keeps with each later one: the last thirty or so count."""
_DOUBT = 0.5
"""Observations that speak for no overhead: batches of one size alone cannot tell."""
_USEFUL_SHARE = 0.95
_BELIEVED = 4.0
"""A pass that took more than so many times what was expected counts as that: the machine may have slept meanwhile. What
stays so slow is believed a few passes later."""


class Cost:
    """Least squares over decaying observations. Before the first one everything is free."""

    def __init__(self) -> None:
        self.overhead_s = 0.0
        self.image_s = 0.0
        self._weight = self._n = self._nn = self._t = self._nt = 0.0

    def observe(self, images: int, seconds: float) -> None:
        """A forward pass of so many images took so long."""
        if self._weight:
            seconds = min(seconds, _BELIEVED * self.seconds(images))
        self._weight = _KEPT * self._weight + 1
        self._n = _KEPT * self._n + images
        self._nn = _KEPT * self._nn + images * images
        self._t = _KEPT * self._t + seconds
        self._nt = _KEPT * self._nt + images * seconds
        determinant = (self._weight + _DOUBT) * self._nn - self._n * self._n
        overhead = (self._t * self._nn - self._nt * self._n) / determinant
        self.overhead_s = min(max(0.0, overhead), self._t / self._weight)
        self.image_s = max(0.0, (self._nt - self.overhead_s * self._n) / self._nn)

    def seconds(self, images: int) -> float:
        """Of one batch."""
        return self.overhead_s + images * self.image_s

    def within(self, seconds: float) -> int:
        """The largest batch that takes no longer, at least 1."""
        return max(1, min(ANY_NUMBER, int((seconds - self.overhead_s) / max(self.image_s, 1e-9))))

    def useful(self) -> int:
        """The batch from which on larger ones give at most 5 % more images a second."""
        share = _USEFUL_SHARE / (1 - _USEFUL_SHARE)
        return max(1, min(ANY_NUMBER, round(share * self.overhead_s / max(self.image_s, 1e-9))))
