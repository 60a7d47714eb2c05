"""A group that works off a backlog while rates change: what is seen of it every five seconds, and when it is done."""

import random
from dataclasses import dataclass

from broker.samples import GroupSample
from tests.monitor.histories import EVERY_S, NOW, group, partition, said

PARTITIONS = 4
_TICK_S = 0.2


@dataclass(frozen=True, slots=True)
class Drain:
    """`took_s`: until less waits than arrives in a second."""

    took_s: float
    samples: list[GroupSample]


class Spells:
    """Now and then, for a while, a factor other than one."""

    def __init__(
        self, chance: random.Random, every_s: float, lasts_s: tuple[float, float], factor: tuple[float, float]
    ):
        self._chance, self._every_s, self._lasts_s, self._factor = chance, every_s, lasts_s, factor
        self._begins, self._ends, self._value = chance.expovariate(1 / every_s), 0.0, 1.0

    def at(self, t: float) -> float:
        if t >= self._begins:
            self._value = self._chance.uniform(*self._factor)
            self._ends = t + self._chance.uniform(*self._lasts_s)
            self._begins = self._ends + self._chance.expovariate(1 / self._every_s)
        return self._value if t < self._ends else 1.0


def replay(seed: int) -> Drain:
    """Two to fifteen minutes of backlog, with bursts, slow-downs and noise.

    Partitions have unlike weights, and each is committed about once a second.
    """
    chance = random.Random(seed)
    publishes = chance.uniform(40, 150)
    scores = publishes * chance.uniform(1.4, 3.0)
    backlog = (scores - publishes) * chance.uniform(120, 900)
    bursts = Spells(chance, 90, (5, 25), (1.5, 3.0))
    slow_downs = Spells(chance, 150, (15, 60), (0.6, 0.9))
    weights = [chance.uniform(0.5, 1.5) for _ in range(PARTITIONS)]
    shares = [weight / sum(weights) for weight in weights]
    ends, done = [backlog * share for share in shares], [0.0] * PARTITIONS
    committed, next_commit = [0] * PARTITIONS, [chance.uniform(0, 1) for _ in range(PARTITIONS)]
    spoke = [NOW] * PARTITIONS
    samples: list[GroupSample] = []
    t = 0.0
    while True:
        arrived = publishes * bursts.at(t) * max(0.0, chance.gauss(1, 0.2)) * _TICK_S
        ends = [end + arrived * share for end, share in zip(ends, shares, strict=True)]
        able = scores * slow_downs.at(t) * max(0.0, chance.gauss(1, 0.2)) * _TICK_S
        # The fullest partitions last: what the others leave over is theirs.
        order = sorted(range(PARTITIONS), key=lambda index: ends[index] - done[index])
        for place, index in enumerate(order):
            took = min(able / (PARTITIONS - place), ends[index] - done[index])
            done[index] += took
            able -= took
        for index in range(PARTITIONS):
            if t >= next_commit[index]:
                committed[index], spoke[index] = int(done[index]), NOW + t
                next_commit[index] = t + chance.uniform(0.5, 1.5)
        if t >= EVERY_S * len(samples):
            looks = [
                partition(committed[i], int(ends[i]), said(spoke[i], rate=scores, oldest=spoke[i] - 60), number=i)
                for i in range(PARTITIONS)
            ]
            samples.append(group(NOW + t, *looks))
        if sum(ends) - sum(done) <= publishes:
            return Drain(t, samples)
        t += _TICK_S
